import { expect, onTestFinished, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { PublishPacket } from '../../core/protocol/packets.ts'
import { startOnRedis, TestNode } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import { RedisServer } from '../support/redis.ts'

const durable = { cleanStart: false, properties: { sessionExpiry: 3600 } }

/** Breaks the connections on which nodes hear of one another, again and again, until it is stopped. `rounds`: how often so far. */
function deafen(redis: RedisServer): { readonly rounds: number; stop(): Promise<void> } {
  const client = redis.client()
  let over = false
  let rounds = 0
  const cutting = (async () => {
    for (; !over; rounds++) {
      const clients = String(await client.call('CLIENT', 'LIST'))
      for (const [, id] of clients.matchAll(/^id=(\d+) .* cmd=(?:xread|subscribe|ping) /gm)) await client.call('CLIENT', 'KILL', 'ID', id!)
    }
    client.disconnect()
  })()
  return {
    get rounds() {
      return rounds
    },
    stop() {
      over = true
      return cutting
    },
  }
}

test.each([1, 2] as const)(
  'QoS %i: a publisher that goes on at the node of its reader does not overtake what it has sent elsewhere',
  async qos => {
    const { redis, nodes } = await startOnRedis(2)
    const [a, b] = [nodes[0]!, nodes[1]!]
    const reader = await b.connect({ clientId: 'reader', ...durable })
    await reader.subscribe('t', qos)
    await eventually(() => a.broker.router.route('t').targets.length === 1)
    const here = await a.connect({ clientId: 'publisher', ...durable })
    const deaf = deafen(redis)
    for (let i = 0; i < 10; i++) await here.publish('t', `here ${i}`, { qos })
    const since = deaf.rounds
    let isOut = false
    const there = b
      .connect({ clientId: 'publisher', ...durable })
      .then(client => client.publish('t', 'there', { qos }))
      .finally(() => {
        isOut = true
      })
    // They hear again when it has published, or could not even come in for a long while.
    await eventually(() => isOut || deaf.rounds > since + 200)
    await deaf.stop()
    await there
    const payloads: string[] = []
    // Nothing is acknowledged: the order is that of the first sending.
    while (payloads.length < 11) payloads.push((await reader.next<PublishPacket>(PacketType.Publish)).payload.toString())
    expect(payloads).toEqual([...Array.from({ length: 10 }, (_, i) => `here ${i}`), 'there'])
  },
)

test('a client that comes again before its node hears of the others gets in when it does', async () => {
  const redis = await RedisServer.start()
  onTestFinished(() => redis.stop())
  const node = await TestNode.start('n1', { url: redis.url })
  // From here on the node can do everything but listen: Redis breaks the connection that does.
  await redis.call('ACL', 'SETUSER', 'default', 'resetchannels')
  const first = await node.connect({ clientId: 'c', ...durable })
  first.drop()
  const again = node.connect({ clientId: 'c', ...durable })
  await redis.call('ACL', 'SETUSER', 'default', 'allchannels')
  // What it tells itself to see how far it has heard is told, and nobody hears it.
  await eventually(async () => /cmdstat_publish:calls=[1-9]/.test(String(await redis.call('INFO', 'commandstats'))))
  await redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  await again
})

test('what two nodes have put into one queue at the same time is sent again in the order in which it was sent first', async () => {
  const { nodes } = await startOnRedis(2, { mqtt: { inflightMax: 1000 } })
  const [a, b] = [nodes[0]!, nodes[1]!]
  const options = { clientId: 'reader', cleanStart: false, properties: { sessionExpiry: 3600, receiveMaximum: 1000 } }
  const reader = await b.connect(options)
  await reader.subscribe('t/#', 1)
  await eventually(() => a.broker.router.route('t/a').targets.length === 1)
  const publishers = [await a.connect(), await b.connect()]
  const count = 150
  for (let i = 0; i < count; i++) {
    for (const [at, publisher] of publishers.entries()) publisher.sendPublish(`t/${at}`, `${at} ${i}`, { qos: 1 })
    await new Promise(resolve => setImmediate(resolve))
  }
  for (const publisher of publishers) for (let i = 0; i < count; i++) await publisher.next(PacketType.Puback)
  const first: string[] = []
  while (first.length < 2 * count) first.push(String((await reader.message()).payload))
  reader.drop()
  const back = await a.connect(options)
  const again: string[] = []
  while (again.length < 2 * count) {
    const { payload, dup } = await back.message()
    expect(dup).toBe(true)
    again.push(String(payload))
  }
  expect(again).toEqual(first)
})
