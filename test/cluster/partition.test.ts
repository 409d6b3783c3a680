import { expect, onTestFinished, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { TestNode } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import { RedisServer } from '../support/redis.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'

const durable = { clientId: 'c', cleanStart: false, properties: { sessionExpiry: 3600 } }

/** Node `a` behind a line that can be cut, and node `b`. */
async function startApart(): Promise<{ redis: RedisServer; line: TcpProxy; a: TestNode; b: TestNode }> {
  const redis = await RedisServer.start()
  onTestFinished(() => redis.stop())
  const line = await TcpProxy.start(redis.port)
  onTestFinished(() => line.stop())
  const quick = { commandTimeout: '500ms', connectTimeout: '500ms' }
  const a = await TestNode.start('a', { url: `redis://127.0.0.1:${line.port}`, ...quick })
  const b = await TestNode.start('b', { url: redis.url, ...quick })
  for (const node of [a, b]) await eventually(() => node.broker.services.get('bus').nodes().length === 2)
  return { redis, line, a, b }
}

test.each(['refused', 'silent'] as const)(
  'a session whose node is cut off (%s) goes on at another; what the first still writes is refused, and it learns that it has lost',
  async how => {
    const { line, a, b } = await startApart()
    const old = await a.connect(durable)
    await old.subscribe('t', 1)
    const writer = await b.connect()
    await eventually(() => b.broker.router.route('t').targets.length === 1)
    for (const payload of ['one', 'two']) await writer.publish('t', payload, { qos: 1 })
    const [one] = [await old.message(), await old.message()]
    line.cut(how)
    // Its node cannot say so to the store any more.
    old.ack(PacketType.Puback, one.packetId)
    const young = await b.connect(durable)
    expect(young.heard[0]).toMatchObject({ sessionPresent: true })
    const again = [await young.message(), await young.message()]
    expect(again.map(({ payload, packetId, dup }) => [String(payload), packetId, dup])).toEqual([
      ['one', one.packetId, true],
      ['two', again[1]!.packetId, true],
    ])
    line.heal()
    await old.closed
    await eventually(() => a.broker.clientOf('c') === undefined)
    expect(b.broker.clientOf('c')).toBeDefined()
    // Neither acknowledgement counts: not the one that came too late, and nobody else has given one.
    young.drop()
    const third = await b.connect(durable)
    expect([String((await third.message()).payload), String((await third.message()).payload)]).toEqual(['one', 'two'])
    expect(third.isClosed).toBe(false)
  },
)

test('what came and went on both sides meanwhile is known on both when the line is there again', async () => {
  const { line, a, b } = await startApart()
  const [here, there] = [await a.connect(), await b.connect()]
  await there.subscribe('gone', 1)
  await a.wants('gone', b)
  line.cut('silent')
  await here.subscribe('here', 1)
  await there.unsubscribe('gone')
  await there.subscribe('there', 1)
  const stored = await b.connect({ ...durable, clientId: 'stored' })
  await stored.subscribe('kept', 1)
  stored.disconnect()
  await there.publish('state', 'retained meanwhile', { qos: 1, retain: true })
  line.heal()
  await b.wants('here', a)
  await a.wants('there', b)
  await a.wants('gone', b, false)
  await eventually(() => a.broker.router.route('kept').targets.length === 1)
  await here.publish('kept', 'for the stored one', { qos: 1 })
  const back = await a.connect({ ...durable, clientId: 'stored' })
  expect(String((await back.receive()).payload)).toBe('for the stored one')
  await eventually(async () => {
    await here.subscribe('state')
    return here.heard.some(packet => packet.type === PacketType.Publish && String(packet.payload) === 'retained meanwhile')
  })
})

test('a node that the others took for dead sends away those whose sessions it may have lost, and is one of them again', async () => {
  const { line, a, b } = await startApart()
  const kept = await a.connect(durable)
  const clean = await a.connect({ clientId: 'clean' })
  await clean.subscribe('t', 1)
  await b.wants('t', a)
  line.cut('silent')
  await eventually(() => b.broker.services.get('bus').nodes().length === 1)
  await b.wants('t', a, false)
  line.heal()
  await kept.closed
  expect(clean.isClosed).toBe(false)
  await b.wants('t', a)
  const writer = await b.connect()
  await writer.publish('t', 'again', { qos: 1 })
  expect(String((await clean.receive()).payload)).toBe('again')
  const again = await a.connect(durable)
  expect(again.heard[0]).toMatchObject({ sessionPresent: true })
})
