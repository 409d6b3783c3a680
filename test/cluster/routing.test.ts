import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { startNodes, startOnRedis, TestNode } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'

const durable = { cleanStart: false, properties: { sessionExpiry: 3600 } }

test.each([0, 1, 2] as const)('a message of QoS %i reaches a clean session at another node', async qos => {
  const [a, b] = await startNodes(2)
  const reader = await b.connect()
  await reader.subscribe('a/+', qos)
  const writer = await a.connect()
  await a.wants('a/b', b)
  await writer.publish('a/b', 'hello', { qos })
  const got = await reader.receive()
  expect([got.topic, got.payload.toString(), got.qos]).toEqual(['a/b', 'hello', qos])
})

test.each([
  [2, 0, 0],
  [0, 2, 0],
  [2, 1, 1],
  [1, 2, 1],
] as const)('published at QoS %i and subscribed at QoS %i at another node it comes at QoS %i', async (published, subscribed, comes) => {
  const [a, b] = await startNodes(2)
  const reader = await b.connect()
  await reader.subscribe('t', subscribed)
  await a.wants('t', b)
  await (await a.connect()).publish('t', 'm', { qos: published })
  expect((await reader.receive()).qos).toBe(comes)
})

test.each([
  [1, 0],
  [2, 0],
  [0, 0],
  [0, 1],
] as const)(
  'a message of QoS %i reaches a kept session at another node that has subscribed at QoS %i, once and at QoS 0',
  async (published, subscribed) => {
    const [a, b] = await startNodes(2)
    const reader = await b.connect({ ...durable, version: 5, clientId: 'kept' })
    await reader.subscribe('t', subscribed)
    await a.wants('t', b)
    const writer = await a.connect()
    await writer.publish('t', 'first', { qos: published })
    await writer.publish('t', 'second', { qos: published })
    const got = [await reader.receive(), await reader.receive()]
    expect(got.map(({ payload, qos }) => `${payload} ${qos}`)).toEqual(['first 0', 'second 0'])
    expect(await reader.payloads()).toEqual([])
  },
)

test('the acknowledgement of MQTT 5 says that nobody has subscribed only where nobody has at any node', async () => {
  const [a, b] = await startNodes(2)
  const writer = await a.connect({ version: 5 })
  expect(await writer.publish('t', 'm', { qos: 1 })).toMatchObject({ reasonCode: 0x10 })
  await (await b.connect()).subscribe('t', 0)
  await a.wants('t', b)
  expect(await writer.publish('t', 'm', { qos: 1 })).toMatchObject({ reasonCode: 0 })
})

test('a client with overlapping filters at two QoS gets one copy for each filter or one in all, never both ways', async () => {
  const [a, b] = await startNodes(2)
  const reader = await b.connect()
  await reader.subscribe('t/#', 0)
  await reader.subscribe('t/+', 1)
  await a.wants('t/x', b)
  const writer = await a.connect()
  await writer.publish('t/x', '1', { qos: 1 })
  await writer.publish('t/x', '2', { qos: 1 })
  const got = [await reader.receive(), await reader.receive()]
  expect(got.map(({ payload, qos }) => [payload.toString(), qos])).toEqual([
    ['1', 1],
    ['2', 1],
  ])
  expect(await reader.payloads()).toEqual([])
})

test('a node that wants nothing of a topic is sent nothing', async () => {
  const [a, b, c] = await startNodes(3)
  const reader = await b.connect()
  await reader.subscribe('t', 1)
  await a.wants('t', b)
  const writer = await a.connect()
  for (let i = 0; i < 10; i++) await writer.publish('t', 'm', { qos: 1 })
  for (let i = 0; i < 10; i++) await reader.receive()
  expect(a.cluster.outgoing.posted).toBe(10)
  expect(a.cluster.peers.router.route('t').targets.map(({ subscriber }) => subscriber.clientId)).toEqual(['n2'])
  expect(c.cluster.received).toBe(0)
})

test('many clients of a node that want a message cost one message between the nodes', async () => {
  const [a, b] = await startNodes(2)
  const readers = await Promise.all([1, 2, 3].map(() => b.connect()))
  for (const [i, reader] of readers.entries()) await reader.subscribe(i === 0 ? 't' : 't/#', i === 1 ? 0 : 1)
  await a.wants('t', b)
  await eventually(() => a.cluster.peers.size === 2)
  await (await a.connect()).publish('t', 'm', { qos: 1 })
  for (const reader of readers) expect((await reader.receive()).payload.toString()).toBe('m')
  expect([a.cluster.outgoing.posted, a.cluster.outgoing.told]).toEqual([1, 0])
})

test('MQTT 5 properties, subscription identifiers and Retain As Published are as on one node', async () => {
  const [a, b] = await startNodes(2)
  const reader = await b.connect()
  await reader.subscribe('t', 1, { retainAsPublished: true, properties: { subscriptionIdentifiers: [7] } })
  await a.wants('t', b)
  const properties = {
    contentType: 'text/plain',
    responseTopic: 'r',
    correlationData: Buffer.from([1, 2]),
    userProperties: [['a', 'b']] as [string, string][],
    messageExpiry: 60,
  }
  await (await a.connect()).publish('t', 'm', { qos: 1, retain: true, properties })
  const got = await reader.receive()
  expect(got.retain).toBe(true)
  expect(got.properties).toMatchObject({ ...properties, messageExpiry: expect.any(Number), subscriptionIdentifiers: [7] })
})

test('No Local holds between nodes too: what a client published comes back to nobody of its id', async () => {
  const [a, b] = await startNodes(2)
  const reader = await b.connect({ clientId: 'other' })
  await reader.subscribe('t', 1, { noLocal: true })
  await a.wants('t', b)
  await (await a.connect({ clientId: 'one' })).publish('t', 'm', { qos: 1 })
  expect((await reader.receive()).payload.toString()).toBe('m')
})

test('an unsubscription and an end of a connection take the route away at all nodes', async () => {
  const [a, b] = await startNodes(2)
  const one = await b.connect()
  const two = await b.connect()
  await one.subscribe('t', 0)
  await two.subscribe('u', 1)
  await a.wants('t', b)
  await a.wants('u', b)
  await one.unsubscribe('t')
  two.drop()
  await a.wants('t', b, false)
  await a.wants('u', b, false)
  expect(a.cluster.peers.size).toBe(0)
  expect(b.cluster.own.size).toBe(0)
})

test('a node that comes later learns the routes that are there', async () => {
  const { redis, nodes } = await startOnRedis(1)
  const reader = await nodes[0]!.connect()
  await reader.subscribe(
    Array.from({ length: 1500 }, (_, i) => `t/${i}`),
    1,
  )
  const late = await TestNode.start('late', { url: redis.url })
  await late.wants('t/1499', nodes[0]!)
  await eventually(() => late.cluster.peers.size === 1500)
  await (await late.connect()).publish('t/7', 'm', { qos: 1 })
  expect((await reader.receive()).topic).toBe('t/7')
})

test('routes that are not as their owner says are read anew', async () => {
  const [a, b] = await startNodes(2)
  const reader = await b.connect()
  await reader.subscribe(['t', 'u', 'v'], 1)
  await eventually(() => a.cluster.peers.size === 3)
  // As if an announcement had been lost on the way.
  a.cluster.peers.changed('n2', ['t', '', 'w', '2'])
  expect(a.cluster.peers.router.route('t').targets).toEqual([])
  b.cluster.own.check()
  await a.wants('t', b)
  await a.wants('w', b, false)
  expect(a.cluster.peers.repaired).toBe(1)
})

test.each([1, 2] as const)('a durable session at another node gets QoS %i from its queue, once, online and offline', async qos => {
  const [a, b] = await startNodes(2)
  const reader = await b.connect({ clientId: 'durable', ...durable })
  await reader.subscribe('t', qos)
  await eventually(() => a.broker.roster.get('durable')?.subscriptions.has('t') === true)
  const writer = await a.connect()
  await writer.publish('t', '1', { qos })
  expect((await reader.receive()).payload.toString()).toBe('1')
  reader.drop()
  await eventually(() => a.broker.roster.get('durable')!.node === null)
  await writer.publish('t', '2', { qos })
  await writer.publish('t', '3', { qos })
  const again = await a.connect({ clientId: 'durable', ...durable })
  expect(again.heard[0]).toMatchObject({ sessionPresent: true })
  expect([(await again.message()).payload.toString(), (await again.message()).payload.toString()]).toEqual(['2', '3'])
  expect(await again.payloads()).toEqual([])
})

test('QoS 0 reaches a durable session that is connected to another node', async () => {
  const [a, b] = await startNodes(2)
  const reader = await b.connect({ clientId: 'durable', ...durable })
  await reader.subscribe('t', 1)
  await a.wants('t', b)
  await (await a.connect()).publish('t', 'm', { qos: 0 })
  expect((await reader.receive()).qos).toBe(0)
})

test('a retained message set at one node is there at the others, and its end too', async () => {
  const [a, b] = await startNodes(2)
  const writer = await a.connect()
  for (const topic of ['r/1', 'r/2']) await writer.publish(topic, 'kept', { qos: 1, retain: true })
  // Both, or the one that is left, come in one page.
  const topics = async (): Promise<string[]> => {
    const reader = await b.connect()
    await reader.subscribe('r/#', 0)
    await reader.message()
    const [first, second] = reader.heard.filter(packet => packet.type === PacketType.Publish)
    return second === undefined ? [first!.topic] : [first!.topic, second.topic]
  }
  await eventually(async () => (await topics()).length === 2)
  await writer.publish('r/1', '', { qos: 1, retain: true })
  await eventually(async () => (await topics()).join() === 'r/2')
})
