import { expect, onTestFinished, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { PublishPacket } from '../../core/protocol/packets.ts'
import type { Config } from '../../presets/index.ts'
import { TestNode } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import { keptLog, type LogLine } from '../support/log.ts'
import { RedisServer, startCluster } from '../support/redis.ts'

// Goal: a Redis that has lost what it kept is noticed before the next acknowledgement, and the sessions of connected clients lose nothing by it.

async function nodeOn(redis: object, config: Config = { cluster: false }, name = 'n1'): Promise<{ node: TestNode; lines: LogLine[] }> {
  const { lines, plugin } = keptLog()
  return { node: await TestNode.start(name, redis, { log: false, plugins: [plugin], ...config } as Config), lines }
}

const durable = (clientId: string) => ({ clientId, cleanStart: false, properties: { sessionExpiry: 1000 } })
const emptied = (lines: readonly LogLine[]) =>
  lines.filter(({ message }) => message.includes('came back empty')).map(({ message }) => message)

const ways: Record<string, (server: RedisServer) => Promise<unknown>> = {
  FLUSHALL: server => server.call('FLUSHALL'),
  FLUSHDB: server => server.call('FLUSHDB'),
  'a restart without a file': async server => {
    await server.kill()
    await server.start()
  },
}

test.each(Object.keys(ways))(
  'sessions of connected clients go on over %s: subscriptions, what is in flight, QoS 2 state',
  async way => {
    const server = await RedisServer.start()
    onTestFinished(() => server.stop())
    const { node, lines } = await nodeOn({ url: server.url })
    const gone = await node.connect(durable('gone'))
    await gone.subscribe('gone', 1)
    gone.disconnect()
    await gone.ended()
    const reader = await node.connect(durable('reader'))
    await reader.subscribe(['a', 'b'], 2)
    const writer = await node.connect(durable('writer'))
    await writer.publish('a', 'in flight', { qos: 1 })
    const first = await reader.next<PublishPacket>(PacketType.Publish)
    await writer.publish('kept', 'retained', { qos: 1, retain: true })
    // Received, and its PUBREL is still to come.
    const { packetId } = writer.sendPublish('b', 'exactly once', { qos: 2 })
    await writer.next(PacketType.Pubrec)
    const second = await reader.next<PublishPacket>(PacketType.Publish)
    // PUBREC is given: from here on PUBREL is owed.
    reader.ack(PacketType.Pubrec, second.packetId)
    await reader.next(PacketType.Pubrel)

    await ways[way]!(server)
    expect(await writer.publish('a', 'after', { qos: 1 })).toMatchObject({ reasonCode: 0 })
    const third = await reader.next<PublishPacket>(PacketType.Publish)
    expect(String(third.payload)).toBe('after')
    expect(emptied(lines)).toEqual([
      expect.stringContaining('2 sessions of connected clients are written again; 1 other sessions, 1 retained messages'),
    ])

    writer.drop()
    reader.drop()
    await Promise.all([writer.closed, reader.closed])
    const again = await node.connect(durable('reader'))
    expect(again.heard[0]).toMatchObject({ sessionPresent: true })
    const repeats = [
      await again.next<PublishPacket>(PacketType.Publish),
      await again.next(PacketType.Pubrel),
      await again.next<PublishPacket>(PacketType.Publish),
    ]
    expect(repeats).toMatchObject([
      { packetId: first.packetId, dup: true },
      { packetId: second.packetId },
      { packetId: third.packetId, dup: true },
    ])
    const writes = await node.connect(durable('writer'))
    expect(writes.heard[0]).toMatchObject({ sessionPresent: true })
    // The identifier is in use still: this is a repeat, and goes to nobody.
    writes.send({
      type: PacketType.Publish,
      topic: 'b',
      payload: Buffer.from('exactly once'),
      qos: 2,
      retain: false,
      dup: true,
      packetId,
      properties: undefined,
    })
    await writes.next(PacketType.Pubrec)
    await writes.publish('a', 'last', { qos: 1 })
    expect(String((await again.next<PublishPacket>(PacketType.Publish)).payload)).toBe('last')
    expect(await server.call('HGET', 'mqttx.session.key:totals:{all}', 'sessions')).toBe('2')
    const late = await node.connect(durable('gone'))
    expect(late.heard[0]).toMatchObject({ sessionPresent: false })
  },
  60_000,
)

test('an emptied database is noticed though nobody writes', async () => {
  const server = await RedisServer.start()
  onTestFinished(() => server.stop())
  const { node, lines } = await nodeOn({ url: server.url })
  const reader = await node.connect(durable('reader'))
  await reader.subscribe('a', 1)
  await server.call('FLUSHALL')
  await eventually(async () => (await server.call('EXISTS', 'mqttx.session.key:{reader}')) === 1)
  expect(emptied(lines)).toHaveLength(1)
})

test('a mark that a fail-over has lost alone is written again, and nothing else is touched', async () => {
  const server = await RedisServer.start()
  onTestFinished(() => server.stop())
  const { node, lines } = await nodeOn({ url: server.url })
  const gone = await node.connect(durable('gone'))
  await gone.subscribe('gone', 1)
  gone.disconnect()
  await gone.ended()
  const reader = await node.connect(durable('reader'))
  await reader.subscribe('a', 1)
  const keys = (await server.call('KEYS', 'mqttx.session.key:batch:*')) as string[]
  await server.call('DEL', 'mqttx.session.key:mark:{all}', ...keys)
  expect(await reader.publish('gone', 'x', { qos: 1 })).toMatchObject({ reasonCode: 0 })
  await eventually(async () => (await server.call('EXISTS', 'mqttx.session.key:mark:{all}')) === 1)
  expect(emptied(lines)).toEqual([])
  const again = await node.connect(durable('gone'))
  expect(String((await again.receive()).payload)).toBe('x')
})

test('each node of a cluster writes the sessions of its own clients again', async () => {
  const server = await RedisServer.start()
  onTestFinished(() => server.stop())
  const nodes = [await nodeOn({ url: server.url }, {}, 'n1'), await nodeOn({ url: server.url }, {}, 'n2')]
  for (const { node } of nodes) await eventually(() => node.broker.services.get('bus').nodes().length === 2)
  for (const [i, { node }] of nodes.entries()) {
    const reader = await node.connect(durable(`reader${i}`))
    await reader.subscribe('a', 1)
  }
  await server.call('FLUSHALL')
  for (const i of [0, 1]) await eventually(async () => (await server.call('HEXISTS', `mqttx.session.key:{reader${i}}`, 'sa')) === 1)
  for (const { lines } of nodes) await eventually(() => emptied(lines).length === 1)
  // A node whose signs of life are gone sends durable clients away, and has them come again.
  for (const [i, { node }] of nodes.entries()) {
    await eventually(async () => {
      const reader = await node.connect(durable(`reader${i}`))
      return (reader.heard[0] as { sessionPresent?: boolean }).sessionPresent === true
    })
  }
}, 60_000)

test('one master of a Redis Cluster that comes back empty: the sessions that lay there are written again', async () => {
  const cluster = await startCluster()
  onTestFinished(() => cluster.stop())
  const { node, lines } = await nodeOn({ nodes: cluster.nodes.map(({ port }) => `127.0.0.1:${port}`) })
  const readers = []
  for (let i = 0; i < 12; i++) {
    const reader = await node.connect(durable(`reader${i}`))
    await reader.subscribe('a', 1)
    readers.push(reader)
  }
  const there = async (): Promise<number> => {
    const counts = await Promise.all(
      cluster.nodes.map(async one => ((await one.call('KEYS', 'mqttx.session.key:{reader*')) as string[]).length),
    )
    return counts.reduce((sum, count) => sum + count, 0)
  }
  expect(await there()).toBe(12)
  await cluster.nodes[1]!.call('FLUSHALL')
  await eventually(async () => (await there()) === 12)
  await eventually(() => emptied(lines).length === 1)
  const writer = await node.connect({ clientId: 'writer' })
  expect(await writer.publish('a', 'x', { qos: 1 })).toMatchObject({ reasonCode: 0 })
  for (const reader of readers) {
    expect(String((await reader.receive()).payload)).toBe('x')
  }
}, 90_000)
