import type { IClientOptions } from 'mqtt'
import { describe, expect, test } from 'vitest'
import { ManualClock } from '../../presets/index.ts'
import { departure, Mosquitto, publish, startOnSocket, subscribe } from './mosquitto.ts'
import { connect } from './mqtt-js.ts'

/** What takes hours, over real sockets: the broker's clock stands still until the test moves it. */
async function startOnClock(config: Parameters<typeof startOnSocket>[0] = {}) {
  const clock = new ManualClock()
  const broker = await startOnSocket(config, clock)
  return { broker, clock }
}

const hour = 3_600_000
const mqtt5: IClientOptions = { protocolVersion: 5 }

describe('npm’s mqtt', () => {
  test('leaves a will that waits for its delay, and goes out once that is over', async () => {
    const { broker, clock } = await startOnClock()
    const will = { topic: 'wills/late', payload: Buffer.from('gone'), qos: 1 as const, properties: { willDelayInterval: 30 } }
    const dying = await connect(broker, { ...mqtt5, clientId: 'dying', properties: { sessionExpiryInterval: 3600 }, will })
    const watcher = await connect(broker, mqtt5)
    await watcher.client.subscribeAsync('wills/#', { qos: 1 })
    const gone = departure(broker, 'dying')
    dying.client.stream.destroy()
    await gone
    clock.advance(29_000)
    await watcher.client.publishAsync('wills/mark', '29 s', { qos: 1 })
    expect(await watcher.inbox.texts(1)).toEqual(['wills/mark 29 s'])
    clock.advance(1_000)
    expect(await watcher.inbox.texts(2)).toEqual(['wills/mark 29 s', 'wills/late gone'])
  })

  test('takes its will back when it returns within the delay', async () => {
    const { broker, clock } = await startOnClock()
    const will = { topic: 'wills/late', payload: Buffer.from('gone'), properties: { willDelayInterval: 30 } }
    const session: IClientOptions = { ...mqtt5, clientId: 'returning', clean: false, properties: { sessionExpiryInterval: 3600 } }
    const watcher = await connect(broker, mqtt5)
    await watcher.client.subscribeAsync('wills/#', { qos: 1 })
    const dying = await connect(broker, { ...session, will })
    const gone = departure(broker, 'returning')
    dying.client.stream.destroy()
    await gone
    expect((await connect(broker, session)).sessionPresent).toBe(true)
    clock.advance(60_000)
    await watcher.client.publishAsync('wills/mark', 'later', { qos: 1 })
    expect(await watcher.inbox.texts(1)).toEqual(['wills/mark later'])
  })

  test('is sent the rest of a message’s time, and no message whose time is over', async () => {
    const { broker, clock } = await startOnClock()
    const session: IClientOptions = { ...mqtt5, clientId: 'sleeper', clean: false, properties: { sessionExpiryInterval: 3600 } }
    const before = await connect(broker, session)
    await before.client.subscribeAsync('jobs/#', { qos: 1 })
    const gone = departure(broker, 'sleeper')
    await before.client.endAsync()
    await gone
    const writer = await connect(broker, mqtt5)
    await writer.client.publishAsync('jobs/short', 'x', { qos: 1, properties: { messageExpiryInterval: 10 } })
    await writer.client.publishAsync('jobs/long', 'x', { qos: 1, properties: { messageExpiryInterval: 100 } })
    await writer.client.publishAsync('jobs/short-retained', 'x', { qos: 1, retain: true, properties: { messageExpiryInterval: 10 } })
    clock.advance(40_000)
    await writer.client.publishAsync('jobs/end', 'x', { qos: 1 })
    const after = await connect(broker, session)
    const packets = await after.inbox.first(2)
    expect(packets.map(({ topic, properties }) => [topic, properties?.messageExpiryInterval])).toEqual([
      ['jobs/long', 60],
      ['jobs/end', undefined],
    ])
    const late = await connect(broker, mqtt5)
    await late.client.subscribeAsync('jobs/#', { qos: 1 })
    await writer.client.publishAsync('jobs/live', 'x', { qos: 1 })
    expect(await late.inbox.texts(1)).toEqual(['jobs/live x'])
  })

  test('finds its session until it has expired, and a new one afterwards', async () => {
    const { broker, clock } = await startOnClock()
    const session: IClientOptions = { ...mqtt5, clientId: 'sleeper', clean: false, properties: { sessionExpiryInterval: 3600 } }
    const presence = []
    for (const pause of [0, hour - 1000, hour + 1000]) {
      clock.advance(pause)
      const { client, sessionPresent } = await connect(broker, session)
      presence.push(sessionPresent)
      const gone = departure(broker, 'sleeper')
      await client.endAsync()
      await gone
    }
    expect(presence).toEqual([false, true, false])
  })

  test('is told that it kept silent for longer than its keep-alive', async () => {
    const { broker, clock } = await startOnClock()
    const { client } = await connect(broker, { ...mqtt5, keepalive: 600 })
    const told = new Promise(resolve => client.on('disconnect', packet => resolve(packet.reasonCode)))
    clock.advance(901_000)
    expect(await told).toBe(0x8d)
  })
})

describe('mosquitto’s clients', () => {
  test('leave a will that waits for its delay', async () => {
    const { broker, clock } = await startOnClock()
    const watcher = await subscribe(broker, '-V', '5', '-t', 'wills/#', '-q', '1')
    const delay = ['-D', 'will', 'will-delay-interval', '30']
    const will = ['--will-topic', 'wills/late', '--will-payload', 'gone', '--will-qos', '1', ...delay]
    const dying = await subscribe(broker, '-V', '5', '-i', 'dying', '-c', '-x', '3600', '-t', 'x', ...will)
    const gone = departure(broker, 'dying')
    await dying.kill()
    await gone
    clock.advance(29_000)
    await publish(broker, '-t', 'wills/mark', '-m', '29 s', '-q', '1')
    expect(await watcher.printed(1)).toEqual(['wills/mark 29 s'])
    clock.advance(1_000)
    expect(await watcher.printed(2)).toEqual(['wills/mark 29 s', 'wills/late gone'])
  })

  test('are sent the rest of a message’s time', async () => {
    const { broker, clock } = await startOnClock()
    await publish(broker, '-V', '5', '-t', 'a', '-m', 'x', '-r', '-q', '1', '-D', 'publish', 'message-expiry-interval', '100')
    clock.advance(40_000)
    const reader = await subscribe(broker, '-V', '5', '-t', 'a', '-F', '%t %E')
    expect(await reader.printed(1)).toEqual(['a 60'])
  })

  test.each(['mqttv311', 'mqttv5'])('are sent the status at each interval, and no one-shot with it: %s', async version => {
    const { broker, clock } = await startOnClock({ sysTopic: { interval: '10s' } })
    const reader = await subscribe(broker, '-V', version, '-t', '$SYS/broker/status', '-F', '%t %r %p')
    for (let count = 1; count <= 2; count++) {
      clock.advance(10_000)
      const line = (await reader.printed(count))[count - 1]!
      expect(line).toMatch(/^\$SYS\/broker\/status 0 \{/)
      expect(JSON.parse(line.slice(line.indexOf('{')))).toMatchObject({
        activeConnectCount: 1,
        timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/),
        version: expect.stringMatching(/^\d+\.\d+\.\d+/),
        maxActiveConnectCount: 1,
        receivedMsg: 0,
        uptime: count * 10,
      })
    }
  })

  test('are told the dashboards’ numbers at once as retained, and anew at each interval', async () => {
    const { broker, clock } = await startOnClock({ sysTopic: { interval: '10s' } })
    await publish(broker, '-t', 'kept', '-m', 'x', '-r', '-q', '1')
    const numbers = { 'clients/connected': 1, 'publish/messages/received': 1, 'retained messages/count': 1, 'subscriptions/count': 4 }
    const filters = Object.keys(numbers).flatMap(topic => ['-t', `$SYS/broker/${topic}`])
    const lines = (retain: 0 | 1) => Object.entries(numbers).map(([topic, number]) => `$SYS/broker/${topic} ${retain} ${number}`)
    const reader = await subscribe(broker, ...filters, '-F', '%t %r %p')
    expect((await reader.printed(4)).toSorted()).toEqual(lines(1).toSorted())
    clock.advance(10_000)
    expect((await reader.printed(8)).slice(4).toSorted()).toEqual(lines(0).toSorted())
  })

  test('see a client come and go in $SYS, its id percent-encoded', async () => {
    const { broker } = await startOnClock({ sysTopic: {}, brokerId: 'edge' })
    const reader = await subscribe(broker, '-t', '$SYS/broker/edge/clients/+/+', '-F', '%t')
    await publish(broker, '-i', 'hall/lamp', '-t', 'a', '-m', 'x')
    expect(await reader.printed(2)).toEqual([
      '$SYS/broker/edge/clients/hall%2Flamp/connected',
      '$SYS/broker/edge/clients/hall%2Flamp/disconnected',
    ])
  })
})

test('a client without mosquitto’s tools says in one line what to install', async () => {
  const { broker } = await startOnClock()
  const path = process.env.PATH
  process.env.PATH = ''
  const client = new Mosquitto('mosquitto_pub', broker, [])
  process.env.PATH = path
  await expect(client.ended()).rejects.toThrow(/^mosquitto_pub is missing: run {2}sudo apt-get install mosquitto-clients$/)
})
