import mqtt from 'mqtt'
import { describe, expect, onTestFinished, test } from 'vitest'
import { MemoryRetained } from '../../plugins/memory/memory-retained.ts'
import { MemorySessions } from '../../plugins/memory/memory-sessions.ts'
import type { Config, PluginContext } from '../../presets/index.ts'
import { createTestBroker, type TestBroker, type TestBrokerOptions } from '../../presets/testing/index.ts'
import { eventually } from '../support/eventually.ts'

async function start(config?: Config, options?: TestBrokerOptions): Promise<TestBroker> {
  const broker = await createTestBroker(config, options)
  onTestFinished(() => broker.stop())
  return broker
}

/** MQTT.js on a stream in memory, connected. */
async function connect(broker: TestBroker, options: mqtt.IClientOptions = {}): Promise<mqtt.MqttClient> {
  const client = new mqtt.MqttClient(() => broker.stream() as never, { reconnectPeriod: 0, protocolVersion: 5, ...options })
  client.on('error', () => {})
  onTestFinished(() => void client.end(true))
  await new Promise(resolve => client.once('connect', resolve))
  return client
}

describe('the test kit', () => {
  test('serves a client of one’s own without a port, and tells what it has received, in order, each once for a filter', async () => {
    const broker = await start()
    expect(() => broker.port).toThrow('no listener is open')
    const client = await connect(broker, { clientId: 'meter' })
    const awaited = broker.received('meters/+/state')
    await client.publishAsync('meters/7/state', 'on', { qos: 1, properties: { contentType: 'text/plain' } })
    expect(await awaited).toMatchObject({
      topic: 'meters/7/state',
      qos: 1,
      retain: false,
      clientId: 'meter',
      properties: { contentType: 'text/plain' },
    })
    await client.publishAsync('meters/7/state', 'off', { qos: 1 })
    await broker.running.publish({ topic: 'meters/8/state', payload: 'own' })
    const texts = [await broker.received('meters/+/state'), await broker.received('meters/+/state')].map(({ payload }) => String(payload))
    expect(texts).toEqual(['off', 'own'])
    // Another filter begins at the beginning.
    expect(String((await broker.received('meters/7/#')).payload)).toBe('on')
    expect(broker.messages.map(({ topic }) => topic)).toEqual(['meters/7/state', 'meters/7/state', 'meters/8/state'])
    await expect(broker.received('nothing', 10)).rejects.toThrow(
      'no message to nothing within 10 ms; there came meters/7/state, meters/8/state',
    )
    await expect(broker.received('a+')).rejects.toThrow('is no topic filter')
  })

  test('serves on a port where one is asked for', async () => {
    const broker = await start({}, { port: 0 })
    const client = await mqtt.connectAsync(broker.url, { reconnectPeriod: 0, clientId: 'socket' })
    onTestFinished(() => void client.end(true))
    await client.publishAsync('a', 'b')
    expect(String((await broker.received('a')).payload)).toBe('b')
    expect(() => broker.faults.slowReader('socket')).toThrow('use stream()')
  })

  test('time stands still until it is moved: expiry, keep-alive and a delayed will', async () => {
    const broker = await start()
    const client = await connect(broker, {
      clientId: 'mortal',
      keepalive: 10,
      reschedulePings: false,
      properties: { sessionExpiryInterval: 60 },
      will: { topic: 'will', payload: Buffer.from('gone'), properties: { willDelayInterval: 30 } },
    })
    const closed = new Promise<void>(resolve => client.once('close', () => resolve()))
    await broker.advance(16_000)
    await closed
    expect(broker.messages).toEqual([])
    await broker.advance(31_000)
    expect(String((await broker.received('will')).payload)).toBe('gone')
    await expect((await start({}, { clock: 'real' })).advance(1)).rejects.toThrow("leave clock: 'real' out")
  })

  test('a connection that breaks sends the will at once, and comes again', async () => {
    const broker = await start()
    const client = await connect(broker, { clientId: 'c', reconnectPeriod: 1, will: { topic: 'will', payload: Buffer.from('gone') } })
    const again = new Promise(resolve => client.once('connect', resolve))
    broker.faults.dropConnection('c')
    expect(String((await broker.received('will')).payload)).toBe('gone')
    await again
    expect(() => broker.faults.dropConnection('nobody')).toThrow('no client "nobody" is connected')
  })

  test('a slow reader loses QoS 0 by the broker’s bounds, and reads on', async () => {
    const broker = await start({ mqtt: { writeBufferMax: '16KiB' } })
    const reader = await connect(broker, { clientId: 'slow' })
    await reader.subscribeAsync('#')
    let got = 0
    reader.on('message', () => got++)
    broker.faults.slowReader('slow')
    const writer = await connect(broker)
    for (let i = 0; i < 200; i++) await writer.publishAsync('a', 'x'.repeat(1000))
    await eventually(() => broker.running.broker.counters.dropped.slowReader > 0)
    broker.faults.slowReader('slow', false)
    await eventually(() => got > 0 && got + broker.running.broker.counters.dropped.slowReader === 200)
  })

  test('a store that is away withholds acknowledgements, one that fails ends its client; then all goes on', async () => {
    const broker = await start()
    const sleeper = await connect(broker, { clientId: 'sleeper', clean: false, properties: { sessionExpiryInterval: 1000 } })
    await sleeper.subscribeAsync('a', { qos: 1 })
    await sleeper.endAsync()
    const writer = await connect(broker, { clientId: 'writer' })
    broker.faults.storeAway()
    let acknowledged = false
    const published = writer.publishAsync('a', 'safe', { qos: 1 }).then(() => (acknowledged = true))
    await broker.received('a')
    await writer.publishAsync('elsewhere', 'served', { qos: 0 })
    await broker.received('elsewhere')
    expect(acknowledged).toBe(false)
    broker.faults.storeAway(false)
    await published
    broker.faults.storeAway()
    const closed = new Promise<void>(resolve => writer.once('close', () => resolve()))
    writer.publish('a', 'not kept', { qos: 1 })
    await broker.received('a')
    broker.faults.storeFails()
    await closed
    const again = await connect(broker, { clientId: 'again' })
    await again.publishAsync('a', 'kept', { qos: 1 })
    const texts: string[] = []
    const back = new mqtt.MqttClient(() => broker.stream() as never, {
      clientId: 'sleeper',
      clean: false,
      protocolVersion: 5,
      reconnectPeriod: 0,
      properties: { sessionExpiryInterval: 1000 },
    })
    onTestFinished(() => void back.end(true))
    back.on('message', (_topic, payload) => texts.push(String(payload)))
    await eventually(() => texts.length === 2)
    expect(texts).toEqual(['safe', 'kept'])
  })

  test('a config with a store of its own cannot have it away', async () => {
    const broker = await start({ memory: true })
    expect(() => broker.faults.storeAway()).toThrow('leave memory, disk and redis out')
  })
})

describe('a client of the kit', () => {
  test('subscribes, publishes and receives at each QoS, and says what the broker answered', async () => {
    const broker = await start({ topicSecurity: { rules: [{ allow: 'all', topics: ['a/#'] }] } })
    for (const version of [3, 4, 5] as const) {
      const [reader, writer] = [
        await broker.client(`reader-${version}`, { version }),
        await broker.client(`writer-${version}`, { version }),
      ]
      expect([await reader.subscribe('a/#', 2), await reader.subscribe('b', 1)]).toEqual([2, version === 5 ? 0x87 : 0x80])
      for (const qos of [0, 1, 2] as const) expect(await writer.publish(`a/${version}/${qos}`, `${qos}`, { qos })).toBe(0)
      const got = [await reader.received(), await reader.received(), await reader.received('a/+/2')]
      expect(got.map(({ topic, qos }) => `${topic} ${qos}`)).toEqual([`a/${version}/0 0`, `a/${version}/1 1`, `a/${version}/2 2`])
      if (version === 5) expect(await writer.publish('b', '', { qos: 1 })).toBe(0x87)
      expect(await reader.unsubscribe('a/#')).toBe(0)
      await writer.publish('a/x', '', { qos: 1 })
      expect(reader.messages).toHaveLength(3)
    }
    await expect((await broker.client('waits')).received('never', 10)).rejects.toThrow('no message to never within 10 ms; none came at all')
  })

  test('loses its connection, leaves a will, and takes its session up again', async () => {
    const broker = await start()
    const watcher = await broker.client('watcher')
    await watcher.subscribe('#', 1)
    const first = await broker.client('a', { cleanStart: false, will: { topic: 'will', payload: 'gone', qos: 1 } })
    await first.subscribe('queue', 1)
    first.lose()
    expect(String((await watcher.received('will')).payload)).toBe('gone')
    expect(first.closed).toBe(true)
    await expect(first.publish('x', '', { qos: 1 })).rejects.toThrow('the connection has closed')
    await watcher.publish('queue', 'meanwhile', { qos: 1 })
    const again = await broker.client('a', { cleanStart: false })
    expect(String((await again.received('queue')).payload)).toBe('meanwhile')
    again.disconnect()
    const refusing = await start({ plugins: [{ name: 'no', apply: ({ hooks }) => hooks.onConnect.tap('no', () => false) }] })
    await expect(refusing.client('a')).rejects.toThrow('client a: refused with 0x87')
  })
})

test('the kit says what it ignores of a config', async () => {
  const said: string[] = []
  const listen = (warning: Error): void => void (warning.name === 'MqttxTestKit' && said.push(warning.message))
  process.on('warning', listen)
  onTestFinished(() => void process.off('warning', listen))
  const broker = await start({ cluster: { heartbeat: '1s' } })
  expect(broker.warnings).toEqual([expect.stringMatching(/^cluster: off in test mode/)])
  await eventually(() => said.length === 1)
})

test('a plugin that owns sessions or retained messages takes the place of the kit’s store', async () => {
  const store = (name: string, ...provides: ('sessions' | 'retained')[]) => ({
    name,
    provides,
    apply({ services, clock }: PluginContext) {
      if (provides.includes('sessions')) services.provide('sessions', new MemorySessions(clock), name)
      if (provides.includes('retained')) services.provide('retained', new MemoryRetained(clock), name)
    },
  })
  const ownersOf = ({ running }: TestBroker) => [running.broker.services.ownerOf('sessions'), running.broker.services.ownerOf('retained')]
  const whole = await start({ plugins: [store('mine', 'sessions', 'retained')] })
  expect(ownersOf(whole)).toEqual(['mine', 'mine'])
  expect(() => whole.faults.storeAway()).toThrow('names a store of its own')
  expect(ownersOf(await start({ plugins: [store('mine', 'retained')] }))).toEqual(['testStore', 'mine'])
})
