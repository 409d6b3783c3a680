import { afterEach, beforeEach, expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { PublishPacket } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import { allPublishes } from '../conformance/heard.ts'
import { startBroker as start } from '../support/broker.ts'
import type { TestClient } from '../support/client.ts'

const startBroker = (config: Parameters<typeof start>[0] = {}) => start({ sysTopic: {}, ...config })

const json = ({ payload }: PublishPacket): unknown => JSON.parse(payload.toString())
const topics = (packets: readonly PublishPacket[]) => packets.map(({ topic }) => topic)

let zone: string | undefined
beforeEach(() => {
  zone = process.env.TZ
  process.env.TZ = 'UTC'
})
afterEach(() => {
  if (zone === undefined) delete process.env.TZ
  else process.env.TZ = zone
})

/** The default of `sysTopic.interval`. */
const interval = 60_000

async function answerTo(client: TestClient, filter: string, qos: 0 | 1 | 2 = 0): Promise<PublishPacket> {
  expect(await client.subscribe(filter, qos)).toEqual([qos])
  return client.receive()
}

for (const version of [3, 4, 5] as const) {
  test(`answers each SUBSCRIBE to a one-shot topic at once with its field alone: MQTT ${version}`, async () => {
    const { connect, broker } = await startBroker()
    await connect()
    const client = await connect({ version })
    const expected: [topic: string, answer: unknown][] = [
      ['activeConnectCount', { activeConnectCount: 2 }],
      ['time', { timestamp: '2020-09-18 15:13:46' }],
      ['version', { version: broker.version }],
      ['maxActiveConnectCount', { maxActiveConnectCount: 2 }],
      ['uptime', { uptime: 0 }],
    ]
    for (const [name, answer] of expected) {
      const packet = await answerTo(client, `$SYS/broker/${name}`)
      expect([packet.topic, packet.qos, packet.retain, json(packet)]).toEqual([`$SYS/broker/${name}`, 0, false, answer])
    }
  })
}

test('answers in the bytes that the Java mqttx answers in', async () => {
  const { connect } = await startBroker()
  const client = await connect()
  const texts = []
  for (const name of ['activeConnectCount', 'time']) texts.push((await answerTo(client, `$SYS/broker/${name}`)).payload.toString())
  expect(texts).toEqual(['{"activeConnectCount":1}', '{"timestamp":"2020-09-18 15:13:46"}'])
})

test('tells the time in the zone of the machine', async () => {
  const { connect } = await startBroker()
  process.env.TZ = 'Asia/Shanghai'
  const client = await connect()
  expect(json(await answerTo(client, '$SYS/broker/time'))).toEqual({ timestamp: '2020-09-18 23:13:46' })
})

test('answers again at each new SUBSCRIBE, to that subscriber only, and leaves no subscription', async () => {
  const { connect, broker, advance } = await startBroker()
  const client = await connect({ version: 5 })
  const other = await connect({ version: 5 })
  await other.subscribe('$SYS/#')
  const before = (await allPublishes(other)).length
  const size = broker.router.size
  for (let i = 0; i < 3; i++) await answerTo(client, '$SYS/broker/time')
  expect(broker.router.size).toBe(size)
  expect((await allPublishes(other)).length).toBe(before)
  expect(await client.unsubscribe('$SYS/broker/time')).toEqual([0x11])
  await advance(5 * interval)
  expect(await client.rest()).toEqual([])
})

test('sends the answer behind the SUBACK, one for each filter of the packet, with the identifier of the subscription', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5 })
  client.send({
    type: PacketType.Subscribe,
    packetId: 1,
    subscriptions: ['$SYS/broker/time', 't', '$SYS/broker/version'].map(filter => ({
      filter,
      qos: 1,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0,
    })),
    properties: { subscriptionIdentifiers: [7] },
  })
  await client.next(PacketType.Suback)
  const answers = [await client.message(), await client.message()]
  expect(topics(answers)).toEqual(['$SYS/broker/time', '$SYS/broker/version'])
  for (const { properties } of answers) expect(properties).toEqual({ subscriptionIdentifiers: [7] })
})

for (const sysQos of [0, 1, 2] as const) {
  test(`answers at the lower of sysTopic.qos and the QoS of the subscription: ${sysQos}`, async () => {
    const { connect, advance } = await startBroker({ sysTopic: { qos: sysQos } })
    const client = await connect({ version: 5 })
    for (const qos of [0, 1, 2] as const) {
      expect((await answerTo(client, '$SYS/broker/time', qos)).qos).toBe(Math.min(sysQos, qos))
      await client.subscribe('$SYS/broker/status', qos)
      await advance(interval)
      expect((await client.receive()).qos).toBe(Math.min(sysQos, qos))
    }
  })
}

for (const version of [3, 4, 5] as const) {
  test(`sends the status at each interval with all fields: MQTT ${version}`, async () => {
    const { connect, advance, broker } = await startBroker({ sysTopic: { interval: '10s' } })
    const client = await connect({ version })
    await client.subscribe('$SYS/broker/status')
    await client.publish('t', 'x', { qos: 1 })
    expect(await client.rest()).toEqual([])
    const received: PublishPacket[] = []
    for (let i = 0; i < 2; i++) {
      await advance(10_000)
      received.push(await client.receive())
    }
    expect(received.map(({ topic, retain }) => [topic, retain])).toEqual([
      ['$SYS/broker/status', false],
      ['$SYS/broker/status', false],
    ])
    expect(json(received[0]!)).toEqual({
      activeConnectCount: 1,
      timestamp: '2020-09-18 15:13:56',
      version: broker.version,
      maxActiveConnectCount: 1,
      receivedMsg: 1,
      sendMsg: 0,
      uptime: 10,
    })
    expect(json(received[1]!)).toMatchObject({ timestamp: '2020-09-18 15:14:06', sendMsg: 1, uptime: 20 })
  })
}

test('sends the status every 60 s where nothing else is said, until UNSUBSCRIBE', async () => {
  const { connect, advance } = await startBroker()
  const client = await connect()
  await client.subscribe('$SYS/broker/status')
  await advance(59_999)
  expect(await client.rest()).toEqual([])
  await advance(1)
  await client.receive()
  expect(await client.unsubscribe('$SYS/broker/status')).toEqual([])
  await advance(2 * interval)
  expect(await client.rest()).toEqual([])
})

test('forgets a subscription to the status at disconnect, also that of a stored session', async () => {
  const { connect, broker, advance } = await startBroker({ sysTopic: { qos: 1 } })
  const options = { version: 5, clientId: 'me', cleanStart: false, properties: { sessionExpiry: 1000 } } as const
  const first = await connect(options)
  await first.subscribe(['$SYS/broker/status', '$SYS/broker/time', '$share/g/$SYS/broker/status', 'kept'], 1)
  await first.receive()
  first.disconnect()
  await first.closed
  expect(broker.router.size).toBe(1)
  await advance(2 * interval)
  const second = await connect(options)
  expect(second.heard[0]).toMatchObject({ sessionPresent: true })
  await advance(interval)
  expect(await allPublishes(second)).toEqual([])
})

test('sends the status under the name of the node too, and says which clients come and go', async () => {
  const { connect, advance } = await startBroker({ brokerId: 'edge-1' })
  const watcher = await connect({ clientId: 'watcher' })
  await watcher.subscribe(['$SYS/broker/edge-1/status', '$SYS/broker/+/clients/+/+'])
  const guest = await connect({ clientId: 'guest' })
  guest.disconnect()
  await guest.closed
  await advance(interval)
  expect(topics(await allPublishes(watcher))).toEqual([
    '$SYS/broker/edge-1/clients/guest/connected',
    '$SYS/broker/edge-1/clients/guest/disconnected',
    '$SYS/broker/edge-1/status',
  ])
})

for (const [clientId, segment] of [
  ['a/b', 'a%2Fb'],
  ['a+b#c', 'a%2Bb%23c'],
  ['100%/day', '100%25%2Fday'],
  ['100%', '100%'],
  ['plain é', 'plain é'],
] as const) {
  test(`writes the client id ${clientId} as ${segment} in a topic`, async () => {
    const { connect } = await startBroker()
    const watcher = await connect()
    await watcher.subscribe('$SYS/broker/1/clients/+/connected')
    await connect({ clientId })
    expect((await watcher.receive()).topic).toBe(`$SYS/broker/1/clients/${segment}/connected`)
  })
}

test('tells nobody of a client that was refused', async () => {
  const { connect, open, hooks } = await startBroker()
  const watcher = await connect()
  await watcher.subscribe('$SYS/broker/1/clients/#')
  hooks.onConnect.tap('test', client => (client.clientId === 'bad' ? ReasonCode.Banned : undefined))
  const bad = open(5)
  await bad.connect({ clientId: 'bad' })
  await bad.closed
  expect(await watcher.rest()).toEqual([])
})

test("serves mosquitto's names for dashboards: at once with retain, then at each interval without", async () => {
  const { connect, advance } = await startBroker()
  const client = await connect()
  await client.subscribe('$SYS/broker/clients/+')
  const atOnce = await allPublishes(client)
  expect(topics(atOnce).sort()).toEqual(['connected', 'disconnected', 'maximum', 'total'].map(name => `$SYS/broker/clients/${name}`))
  expect(atOnce.every(({ retain }) => retain)).toBe(true)
  expect(atOnce.find(({ topic }) => topic.endsWith('/connected'))!.payload.toString()).toBe('1')
  await connect()
  await advance(interval)
  const later = (await allPublishes(client)).slice(atOnce.length)
  expect(topics(later).sort()).toEqual(topics(atOnce).sort())
  expect(later.some(({ retain }) => retain)).toBe(false)
  expect(later.find(({ topic }) => topic.endsWith('/connected'))!.payload.toString()).toBe('2')
})

test('does as Retain Handling says with what a dashboard gets at once', async () => {
  const { connect } = await startBroker()
  const client = await connect({ version: 5 })
  const counts: number[] = []
  for (const retainHandling of [2, 1, 0, 1] as const) {
    const before = client.heard.length
    await client.subscribe('$SYS/broker/messages/received', 0, { retainHandling })
    await client.rest()
    counts.push(client.heard.slice(before).filter(({ type }) => type === PacketType.Publish).length)
  }
  expect(counts).toEqual([0, 0, 1, 0])
})

test('answers an exact version or uptime as the Java mqttx does, and a wildcard in the text of dashboards', async () => {
  const { connect, broker, advance } = await startBroker()
  const exact = await connect()
  expect(json(await answerTo(exact, '$SYS/broker/version'))).toEqual({ version: broker.version })
  await advance(3000)
  expect(json(await answerTo(exact, '$SYS/broker/uptime'))).toEqual({ uptime: 3 })
  const wildcard = await connect()
  await wildcard.subscribe('$SYS/broker/+')
  const texts = (await allPublishes(wildcard)).map(({ topic, payload }) => [topic, payload.toString()])
  expect(texts).toEqual([
    ['$SYS/broker/version', `mqttx-broker version ${broker.version}`],
    ['$SYS/broker/uptime', '3 seconds'],
  ])
})

test('brings everything but the one-shots to $SYS/#, and nothing of it to #', async () => {
  const { connect, advance } = await startBroker()
  const all = await connect()
  const plain = await connect()
  await all.subscribe('$SYS/#')
  await plain.subscribe(['#', '+/#', '+/broker/status'])
  await advance(interval)
  const seen = new Set(topics(await allPublishes(all)))
  for (const topic of ['status', '1/status', 'clients/connected', 'messages/received', 'version', 'uptime'])
    expect(seen).toContain(`$SYS/broker/${topic}`)
  for (const topic of ['activeConnectCount', 'time', 'maxActiveConnectCount', 'receivedMsg', 'sendMsg'])
    expect(seen).not.toContain(`$SYS/broker/${topic}`)
  expect(await plain.rest()).toEqual([])
})

test('lets topic security say who may see $SYS, one-shots included', async () => {
  const { connect, hooks } = await startBroker()
  hooks.onAuthorize.tap('security', (_publisher, action, topic) => !(action === 'subscribe' && topic.startsWith('$SYS')))
  const five = await connect({ version: 5 })
  const four = await connect()
  const filters = ['$SYS/broker/time', '$SYS/broker/status', '$SYS/#']
  expect(await five.subscribe(filters)).toEqual([0x87, 0x87, 0x87])
  expect(await four.subscribe(filters)).toEqual([0x80, 0x80, 0x80])
  expect([await five.rest(), await four.rest()]).toEqual([[], []])
})

test('lets no client publish to $SYS, by itself or by its will', async () => {
  const { connect, advance } = await startBroker()
  const reader = await connect()
  await reader.subscribe(['$SYS/forged', '$SYS/broker/status'])
  const five = await connect({ version: 5 })
  for (const topic of ['$SYS/forged', '$SYS/broker/status', '$SYS'])
    expect(await five.publish(topic, 'x', { qos: 1 })).toMatchObject({ reasonCode: ReasonCode.NotAuthorized })
  const four = await connect()
  expect(await four.publish('$SYS/forged', 'x', { qos: 1, retain: true })).toBeDefined()
  const dying = await connect({ version: 5, will: { topic: '$SYS/broker/status', payload: Buffer.from('x') } })
  dying.drop()
  await advance(0)
  expect(await reader.rest()).toEqual([])
})

test('shares the status among the members of a group', async () => {
  const { connect, advance } = await startBroker({ sysTopic: { interval: '1s' } })
  const members = [await connect({ version: 5 }), await connect({ version: 5 })]
  for (const member of members) expect(await member.subscribe('$share/g/$SYS/broker/status')).toEqual([0])
  for (let i = 0; i < 4; i++) await advance(1000)
  const counts = []
  for (const member of members) counts.push((await allPublishes(member)).length)
  expect(counts).toEqual([2, 2])
})

test('answers a member of a group that asks for a one-shot, and sends a group nothing at once', async () => {
  const { connect } = await startBroker()
  const member = await connect({ version: 5 })
  expect((await answerTo(member, '$share/g/$SYS/broker/time')).topic).toBe('$SYS/broker/time')
  await member.subscribe('$share/g/$SYS/#')
  expect(await member.rest()).toEqual([])
})

test('leaves $SYS alone where the plugin is off', async () => {
  const { connect, advance } = await startBroker({ sysTopic: false })
  const client = await connect()
  expect(await client.subscribe(['$SYS/broker/time', '$SYS/#'])).toEqual([0, 0])
  await advance(interval)
  expect(await client.rest()).toEqual([])
})
