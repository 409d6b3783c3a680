import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { Packet, PublishPacket } from '../../core/protocol/packets.ts'
import type { TestClient } from '../support/client.ts'
import { startNodes, type TestNode } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'

const durable = { cleanStart: false, properties: { sessionExpiry: 3600 } }

async function members(node: TestNode, count: number): Promise<void> {
  await eventually(() => (node.broker.router.groupOf('$share/g/t')?.members.length ?? 0) === count)
}

function got(client: TestClient): string[] {
  return (client.heard as Packet[])
    .filter(packet => packet.type === PacketType.Publish)
    .map(packet => (packet as PublishPacket).payload.toString())
}

test.each([
  [0, 'clean'],
  [1, 'clean'],
  [2, 'clean'],
  [1, 'durable'],
  [2, 'durable'],
] as const)('a group over three nodes gets each message once, at QoS %i, in %s sessions, by turns', async (qos, kind) => {
  const nodes = await startNodes(3)
  const readers = await Promise.all(nodes.map(node => node.connect(kind === 'durable' ? durable : {})))
  for (const reader of readers) await reader.subscribe('$share/g/t', qos)
  for (const node of nodes) await members(node, 3)
  const writer = await nodes[0].connect()
  for (let i = 0; i < 30; i++) await writer.publish('t', String(i), { qos })
  await eventually(() => readers.reduce((sum, reader) => sum + got(reader).length, 0) === 30)
  expect(readers.flatMap(got).toSorted()).toEqual(Array.from({ length: 30 }, (_, i) => String(i)).toSorted())
  expect(readers.map(reader => got(reader).length)).toEqual([10, 10, 10])
})

test('members leave with their connections, at all nodes', async () => {
  const nodes = await startNodes(3)
  const readers = await Promise.all(nodes.map(node => node.connect()))
  for (const reader of readers) await reader.subscribe('$share/g/t', 1)
  for (const node of nodes) await members(node, 3)
  readers[1]!.drop()
  for (const node of nodes) await members(node, 2)
  await readers[2]!.unsubscribe('$share/g/t')
  for (const node of nodes) await members(node, 1)
  const writer = await nodes[2].connect()
  await writer.publish('t', 'm', { qos: 1 })
  expect((await readers[0]!.receive()).payload.toString()).toBe('m')
})

test('local members are preferred by option', async () => {
  const [a, b] = await startNodes(2, { cluster: { preferLocal: true } })
  const far = await b.connect()
  await far.subscribe('$share/g/t', 1)
  await members(a, 1)
  const writer = await a.connect()
  await writer.publish('t', 'far', { qos: 1 })
  await eventually(() => got(far).length === 1)
  const near = await a.connect()
  await near.subscribe('$share/g/t', 1)
  await members(a, 2)
  for (let i = 0; i < 10; i++) await writer.publish('t', `near ${i}`, { qos: 1 })
  await eventually(() => got(near).length === 10)
  expect(got(far)).toEqual(['far'])
})

test.each([
  ['hash', 1],
  ['sticky', 1],
  ['random', 4],
] as const)('the strategy holds over all nodes: %s', async (shareSubStrategy, used) => {
  const [a, b] = await startNodes(2, { shareTopic: { shareSubStrategy } })
  const readers = [await a.connect(), await a.connect(), await b.connect(), await b.connect()]
  for (const reader of readers) await reader.subscribe('$share/g/t', 1)
  for (const node of [a, b]) await members(node, 4)
  const writer = await a.connect({ clientId: 'one publisher' })
  for (let i = 0; i < 60; i++) await writer.publish('t', String(i), { qos: 1 })
  await eventually(() => readers.reduce((sum, reader) => sum + got(reader).length, 0) === 60)
  // That one of four is never picked of 60 times is one in ten million.
  expect(readers.filter(reader => got(reader).length > 0)).toHaveLength(used)
})
