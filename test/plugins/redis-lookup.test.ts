import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { isTopicName, matches } from '../../core/routing/topic.ts'
import { filtersMatching } from '../../plugins/redis/lookup.ts'
import { SubscriberLookup } from '../../plugins/redis/subscriber-lookup.ts'
import { messageOf } from '../core/messages.ts'
import { settled } from '../support/broker.ts'
import { startOnRedis, TestNode } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import { RedisServer } from '../support/redis.ts'

const durable = (clientId: string) => ({ clientId, cleanStart: false, properties: { sessionExpiry: 3600 } })
const alone = { enableInnerCache: false, cluster: false } as const

async function startAlone(redis?: RedisServer): Promise<{ redis: RedisServer; node: TestNode }> {
  const server = redis ?? (await RedisServer.start())
  if (redis === undefined) onTestFinished(() => server.stop())
  return { redis: server, node: await TestNode.start('n1', { url: server.url }, alone) }
}

describe('the filters that match a topic', () => {
  const level = fc.constantFrom('', 'a', 'b', '$x')
  const topic = fc.array(level, { minLength: 1, maxLength: 5 }).map(levels => levels.join('/'))
  const filter = fc
    .array(fc.constantFrom('', 'a', 'b', '$x', '+'), { minLength: 1, maxLength: 5 })
    .chain(levels => fc.constantFrom(levels.join('/'), `${levels.join('/')}/#`, '#'))

  test('are all that match, and no others', () => {
    fc.assert(
      fc.property(topic, filter, (name, one) => {
        fc.pre(isTopicName(name) && one !== '')
        const found = filtersMatching(name.split('/'))
        expect(new Set(found).size).toBe(found.length)
        for (const each of found) if (each !== '') expect([each, matches(each, name)]).toEqual([each, true])
        expect(found.includes(one)).toBe(matches(one, name))
      }),
      { numRuns: 2000 },
    )
  })
})

describe('enableInnerCache: false', () => {
  test('keeps no stored subscription in memory, and every subscriber gets what is published', async () => {
    const { redis, node } = await startAlone()
    for (const [id, filter] of [
      ['exact', 'a/b'],
      ['plus', 'a/+'],
      ['all', '#'],
      ['member', '$share/g/a/#'],
      ['other', 'b'],
    ] as const) {
      const client = await node.connect(durable(id))
      await client.subscribe(filter, 1)
      client.disconnect()
      await client.closed
    }
    await node.running.stop()
    const { node: again } = await startAlone(redis)
    expect([again.broker.roster.size, again.broker.router.route('a/b').targets.length]).toEqual([0, 0])
    const publisher = await again.connect()
    await publisher.publish('a/b', 'kept', { qos: 1 })
    await again.broker.publish({ topic: 'a/b', payload: 'by the broker', qos: 1 })
    for (const id of ['exact', 'plus', 'all', 'member']) {
      const back = await again.connect(durable(id))
      expect(String((await back.receive()).payload)).toBe('kept')
      expect(String((await back.receive()).payload)).toBe('by the broker')
    }
    const other = await again.connect(durable('other'))
    expect(await other.payloads()).toEqual([])
  })

  test('forgets those that it has looked up, but not those who are connected', async () => {
    const { node } = await startAlone()
    const { broker } = node
    const away = await node.connect(durable('away'))
    await away.subscribe('a', 1)
    away.disconnect()
    await away.closed
    await settled()
    const here = await node.connect(durable('here'))
    await here.subscribe('a', 1)
    await here.publish('a', 'one', { qos: 1 })
    expect(broker.roster.get('away')).toBeDefined()
    // One beside the plugin's own, whose sweep the test can call.
    const lookup = new SubscriberLookup(broker, topic => broker.sessions.subscribersOf!(topic))
    await lookup.before(messageOf('', { topic: 'a' }), null)
    broker.now += 2 * broker.settings.mqtt.receiptTimeout + 1
    lookup.sweep()
    expect([broker.roster.get('away'), broker.roster.get('here')?.clientId]).toEqual([undefined, 'here'])
    await here.publish('a', 'two', { qos: 1 })
    const back = await node.connect(durable('away'))
    expect([String((await back.receive()).payload), String((await back.receive()).payload)]).toEqual(['one', 'two'])
  })

  test('a subscription that another node has acknowledged counts at once, and one that has ended no more', async () => {
    const { nodes } = await startOnRedis(2, { enableInnerCache: false })
    const [a, b] = [nodes[0]!, nodes[1]!]
    const publisher = await a.connect()
    for (let i = 0; i < 20; i++) {
      const reader = await b.connect(durable('reader'))
      await reader.subscribe('t', 1)
      await publisher.publish('t', `subscribed ${i}`, { qos: 1 })
      expect(String((await reader.receive()).payload)).toBe(`subscribed ${i}`)
      await reader.unsubscribe('t')
      await publisher.publish('t', 'nobody', { qos: 1 })
      expect(await reader.payloads()).toEqual([])
      reader.disconnect()
      await reader.closed
    }
    expect(a.broker.counters.dropped.sessionEnded).toBe(0)
  })

  test('topics of many levels find their subscribers too', async () => {
    const { node } = await startAlone()
    const deep = Array.from({ length: 20 }, (_, i) => `l${i}`).join('/')
    const reader = await node.connect(durable('reader'))
    await reader.subscribe('l0/+/l2/#', 1)
    reader.disconnect()
    await reader.closed
    const publisher = await node.connect()
    await publisher.publish(deep, 'deep', { qos: 1 })
    const back = await node.connect(durable('reader'))
    expect(String((await back.receive()).payload)).toBe('deep')
  })

  test('a will finds its subscribers', async () => {
    const { redis, node } = await startAlone()
    const watcher = await node.connect(durable('watcher'))
    await watcher.subscribe('wills', 1)
    watcher.disconnect()
    await watcher.closed
    const dying = await node.connect({ will: { topic: 'wills', payload: Buffer.from('gone'), qos: 1 } })
    dying.drop()
    await eventually(async () => Number(await redis.call('ZCARD', 'mqttx:client:pubmsg:{watcher}')) === 1)
    const back = await node.connect(durable('watcher'))
    expect(String((await back.receive()).payload)).toBe('gone')
  })

  test('while Redis is away QoS 0 goes on among those who are connected, and QoS 1 waits for its acknowledgement', async () => {
    const { redis, node } = await startAlone()
    const reader = await node.connect()
    await reader.subscribe('t', 1)
    const away = await node.connect(durable('away'))
    await away.subscribe('t', 1)
    away.disconnect()
    await away.closed
    const publisher = await node.connect()
    await redis.kill()
    await eventually(() => node.broker.sessions.trouble?.() !== null)
    await publisher.publish('t', 'at most once')
    expect(String((await reader.message()).payload)).toBe('at most once')
    publisher.sendPublish('t', 'at least once', { qos: 1 })
    await settled()
    expect(publisher.heard.filter(({ type }) => type === PacketType.Puback)).toEqual([])
    await redis.start()
    await publisher.next(PacketType.Puback)
    // Redis kept nothing of before: it has no log here. What counts is who is subscribed now.
    expect(String((await reader.receive()).payload)).toBe('at least once')
  })
})
