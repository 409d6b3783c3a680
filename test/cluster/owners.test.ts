import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { startNodes, type TestNode } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'

const kinds = {
  clean: { cleanStart: true },
  durable: { cleanStart: false, properties: { sessionExpiry: 3600 } },
}

/** Of two connections the one that all nodes heard of later is the later one: CONNACK does not wait for that. */
const heardOf = (node: TestNode) => eventually(() => node.broker.roster.get('c')?.announced === true)

const pairs = [
  ['clean', 'clean'],
  ['clean', 'durable'],
  ['durable', 'clean'],
  ['durable', 'durable'],
] as const

test.each(pairs)('a client of a %s session that comes again at another node with a %s one takes its place', async (first, second) => {
  const [a, b] = await startNodes(2)
  const old = await a.connect({ clientId: 'c', ...kinds[first] })
  await old.subscribe('t', 1)
  await heardOf(a)
  const young = await b.connect({ clientId: 'c', ...kinds[second] })
  expect((await old.ended())?.reasonCode).toBe(0x8e)
  await eventually(() => a.broker.clientOf('c') === undefined)
  expect(b.broker.clientOf('c')).toBeDefined()
  expect(young.isClosed).toBe(false)
  expect(young.heard[0]).toMatchObject({ sessionPresent: first === 'durable' && second === 'durable' })
  // What the old one had subscribed to is the young one's where its session went on, and nobody's else.
  const writer = await a.connect()
  if (first === 'durable' && second === 'durable') {
    await writer.publish('t', 'm', { qos: 1 })
    expect((await young.receive()).payload.toString()).toBe('m')
  } else {
    await a.wants('t', b, false)
    await eventually(() => a.broker.router.route('t').targets.length === 0)
    await eventually(() => b.broker.router.route('t').targets.length === 0)
  }
})

test('it goes to and fro between three nodes, and one connection is left', async () => {
  const nodes = await startNodes(3)
  const clients = []
  for (let i = 0; i < 12; i++) {
    clients.push(await nodes[i % 3]!.connect({ clientId: 'c', ...kinds[i % 2 === 0 ? 'clean' : 'durable'] }))
    await heardOf(nodes[i % 3]!)
  }
  const last = clients.pop()!
  for (const client of clients) await client.closed
  expect(last.isClosed).toBe(false)
  await eventually(() => nodes.filter(node => node.broker.clientOf('c') !== undefined).length === 1)
})

test.each(['clean', 'durable'] as const)('of clients that connect to all nodes at once, in %s sessions, one is left', async kind => {
  const nodes = await startNodes(3)
  for (let round = 0; round < 5; round++) {
    const clients = await Promise.all(nodes.map(node => node.connect({ clientId: 'c', ...kinds[kind] })))
    await eventually(() => clients.filter(client => !client.isClosed).length === 1)
    await eventually(() => nodes.filter(node => node.broker.clientOf('c') !== undefined).length === 1)
  }
})

test('what was in flight goes on at the other node: DUP, the same identifiers, QoS 2 half done on both sides', async () => {
  const [a, b] = await startNodes(2)
  const old = await a.connect({ clientId: 'c', ...kinds.durable })
  await old.subscribe('t', 2)
  const writer = await b.connect()
  await eventually(() => b.broker.roster.get('c')?.subscriptions.has('t') === true)
  for (const text of ['1', '2', '3']) await writer.publish('t', text, { qos: 2 })
  const [one, two, three] = [await old.message(), await old.message(), await old.message()]
  old.ack(PacketType.Pubrec, one.packetId)
  await old.next(PacketType.Pubrel)
  // Inbound: received and not released.
  const sent = old.sendPublish('up', 'once', { qos: 2 })
  await old.next(PacketType.Pubrec)

  const watcher = await a.connect()
  await watcher.subscribe('up', 0)
  const young = await b.connect({ clientId: 'c', ...kinds.durable })
  expect(young.heard[0]).toMatchObject({ sessionPresent: true })
  const pubrel = await young.next(PacketType.Pubrel)
  expect(pubrel).toMatchObject({ packetId: one.packetId })
  const again = [await young.message(), await young.message()]
  expect(again.map(({ dup, packetId, payload }) => [dup, packetId, payload.toString()])).toEqual([
    [true, two.packetId, '2'],
    [true, three.packetId, '3'],
  ])
  young.sendPublish('up', 'once', { qos: 2, dup: true, packetId: sent.packetId })
  await young.next(PacketType.Pubrec)
  young.ack(PacketType.Pubrel, sent.packetId)
  expect(await young.next(PacketType.Pubcomp)).toMatchObject({ reasonCode: 0 })
  expect(await watcher.payloads()).toEqual([])
})

test('an owner that has lost its session can change nothing of it any more', async () => {
  const [a, b] = await startNodes(2)
  const old = await a.connect({ clientId: 'c', ...kinds.durable })
  await old.subscribe('t', 1)
  const before = a.broker.roster.get('c')!
  const stale = { clientId: 'c', epoch: before.epoch }
  await b.connect({ clientId: 'c', ...kinds.durable })
  await old.closed
  await expect(Promise.resolve(a.broker.sessions.unsubscribe(stale, ['t']))).rejects.toThrow()
  const writer = await b.connect()
  await writer.publish('t', 'm', { qos: 1 })
  await eventually(() => b.broker.roster.get('c')!.subscriptions.has('t'))
})

test.each(pairs)(
  'a will of a client of a %s session that comes again elsewhere, with a %s one, is published once',
  async (first, second) => {
    const [a, b] = await startNodes(2)
    const watcher = await b.connect()
    await watcher.subscribe('will', 1)
    await a.wants('will', b)
    const will = { topic: 'will', payload: Buffer.from('gone'), qos: 1 as const }
    const old = await a.connect({ clientId: 'c', ...kinds[first], will })
    await b.connect({ clientId: 'c', ...kinds[second] })
    await old.closed
    // [MQTT-3.1.2-8]: a take-over is no DISCONNECT, so a will without delay is due.
    expect((await watcher.receive()).payload.toString()).toBe('gone')
    expect(await watcher.payloads()).toEqual([])
  },
)

test('rights that are changed at one node hold at all, and so does a kick', async () => {
  const [a, b] = await startNodes(2, { enableTopicSubPubSecure: true })
  for (const { running } of [a, b]) {
    running.hooks.onAuthenticate.tap('test', () => ({ rights: { authorizedSub: ['#'], authorizedPub: ['#'] } }))
  }
  const client = await b.connect({ clientId: 'c' })
  await client.subscribe('secret', 1)
  await a.wants('secret', b)
  a.running.setRights('c', { authorizedSub: [], authorizedPub: [] })
  await a.wants('secret', b, false)
  expect(b.broker.roster.get('c')!.subscriptions.size).toBe(0)
  a.broker.kick('c')
  expect((await client.ended())?.reasonCode).toBe(0x98)
})

test('session expiry: one node sweeps, and all forget', async () => {
  const [a, b] = await startNodes(2)
  const short = await b.connect({ clientId: 'c', cleanStart: false, properties: { sessionExpiry: 1 } })
  await short.subscribe('t', 1)
  await eventually(() => a.broker.roster.get('c') !== undefined)
  short.drop()
  await eventually(() => [a, b].every((node: TestNode) => node.broker.roster.get('c') === undefined))
})
