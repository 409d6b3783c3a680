import mqtt from 'mqtt'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Config } from '../../presets/index.ts'
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
