import { afterAll, beforeAll, expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { TestNode } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import { startCluster } from '../support/redis.ts'

// Goal: brokers are one on a Redis Cluster of three masters too, where a session's queue, the log and a node's inbox lie at different servers.

let cluster: Awaited<ReturnType<typeof startCluster>>
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster.stop())

const durable = (clientId: string) => ({ clientId, cleanStart: false, properties: { sessionExpiry: 3600 } })

async function startBoth(config = {}): Promise<[TestNode, TestNode]> {
  for (const server of cluster.nodes) await server.call('FLUSHALL')
  const where = { nodes: cluster.nodes.map(({ port }) => `127.0.0.1:${port}`) }
  const [a, b] = [await TestNode.start('a', where, config), await TestNode.start('b', where, config)]
  for (const node of [a, b]) await eventually(() => node.broker.services.get('bus').nodes().length === 2)
  return [a, b]
}

test('messages of every QoS reach clean sessions at the other node, in order', async () => {
  const [a, b] = await startBoth()
  const reader = await b.connect()
  await reader.subscribe('t/#', 2)
  await a.wants('t/x', b)
  const writer = await a.connect()
  for (const qos of [0, 1, 2] as const) {
    for (let i = 0; i < 20; i++) await writer.publish(`t/${qos}`, String(i), { qos })
    for (let i = 0; i < 20; i++) expect(String((await reader.receive()).payload)).toBe(String(i))
  }
})

test('durable sessions, whose queues lie at all three servers, get what the other node has, once', async () => {
  const [a, b] = await startBoth()
  const readers = await Promise.all(Array.from({ length: 12 }, (_, i) => b.connect(durable(`reader-${i}`))))
  for (const reader of readers) await reader.subscribe('t', 1)
  await eventually(() => a.broker.router.route('t').targets.length === 12)
  const writer = await a.connect()
  for (let i = 0; i < 10; i++) await writer.publish('t', `${i} ${'x'.repeat(300)}`, { qos: 2 })
  for (const reader of readers) {
    for (let i = 0; i < 10; i++) expect(String((await reader.receive()).payload)).toMatch(new RegExp(`^${i} x+$`))
    expect(await reader.payloads()).toEqual([])
  }
})

test('a session goes from one node to the other and back with what is in flight; the old connection is closed', async () => {
  const [a, b] = await startBoth()
  let reader = await a.connect(durable('reader'))
  await reader.subscribe('t', 2)
  const writer = await b.connect(durable('writer'))
  await eventually(() => b.broker.router.route('t').targets.length === 1)
  for (let i = 0; i < 6; i++) await writer.publish('t', String(i), { qos: 2 })
  for (let i = 0; i < 6; i++) {
    const node = i % 2 === 0 ? b : a
    const before = reader
    reader = await node.connect(durable('reader'))
    expect(reader.heard[0]).toMatchObject({ sessionPresent: true })
    expect((await before.ended())?.reasonCode).toBe(0x8e)
    const { payload, packetId } = await reader.message()
    expect(String(payload)).toBe(String(i))
    reader.ack(PacketType.Pubrec, packetId)
    await reader.next(PacketType.Pubrel)
    reader.ack(PacketType.Pubcomp, packetId)
    await reader.rest()
  }
})

test('shared groups, retained messages, rights and the end of a node are as on one Redis', async () => {
  const [a, b] = await startBoth()
  const members = [await a.connect(), await b.connect()]
  for (const member of members) await member.subscribe('$share/g/s', 1)
  await eventually(() => [a, b].every(({ broker }) => broker.router.route('s').groups.flatMap(({ members: all }) => all).length === 2))
  const writer = await a.connect()
  for (let i = 0; i < 20; i++) await writer.publish('s', String(i), { qos: 1 })
  const got: string[] = []
  await eventually(async () => {
    for (const member of members) {
      for (const packet of member.heard.splice(0)) {
        if (packet.type !== PacketType.Publish) continue
        got.push(String(packet.payload))
        member.ack(PacketType.Puback, packet.packetId)
      }
    }
    return got.length >= 20
  })
  expect(got.map(Number).sort((x, y) => x - y)).toEqual(Array.from({ length: 20 }, (_, i) => i))
  await writer.publish('state', 'on', { qos: 1, retain: true })
  const late = await b.connect()
  await eventually(async () => {
    await late.subscribe('state')
    return late.heard.some(packet => packet.type === PacketType.Publish && packet.retain)
  })
  await late.subscribe('gone', 1)
  await a.wants('gone', b)
  await b.running.stop()
  await a.wants('gone', b, false)
  await eventually(() => a.broker.services.get('bus').nodes().length === 1)
})
