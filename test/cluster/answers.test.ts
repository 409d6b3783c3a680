import { expect, onTestFinished, test, vi } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { Config } from '../../presets/index.ts'
import type { TestClient } from '../support/client.ts'
import { startNodes, startOnRedis, TestNode } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import { RedisServer } from '../support/redis.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'

const rounds = 10

const kinds = [
  ['clean', 4],
  ['clean', 5],
  ['durable', 4],
  ['durable', 5],
] as const

function session(kind: 'clean' | 'durable', version: 4 | 5) {
  if (kind === 'clean') return { version, cleanStart: true }
  return { version, cleanStart: false, ...(version === 5 ? { properties: { sessionExpiry: 3600 } } : {}) }
}

/** Nodes that wait for no answer in vain: who cannot confirm in time makes the test run into its own limit. */
const patient = { cluster: { heartbeat: 100, expiry: 5000, confirmTimeout: '60s' }, mqtt: { verdictTimeout: '90s' } } as Config

async function nodes(count: 2 | 3, config: Config = patient): Promise<TestNode[]> {
  return count === 2 ? startNodes(2, config) : startNodes(3, config)
}

/** The payloads of what has come of a topic, in order, when everything that was sent before has come. */
async function until(client: TestClient, last: string): Promise<string[]> {
  const payloads: string[] = []
  while (payloads.at(-1) !== last) payloads.push(String((await client.receive()).payload))
  return payloads
}

test.each([2, 3] as const)('after SUBACK, of any session, a message from any of %i nodes reaches the client', async count => {
  const all = await nodes(count)
  const writers = await Promise.all(all.map(node => node.connect()))
  for (const [kind, version] of kinds) {
    const reader = await all.at(-1)!.connect({ ...session(kind, version), clientId: `${kind}-${version}` })
    for (let round = 0; round < rounds; round++) {
      const topic = `${kind}/${version}/${round}`
      const shared = `$share/g${round}/${topic}/shared`
      expect(await reader.subscribe([`${topic}/+`, shared], 1)).toEqual([1, 1])
      for (const [i, writer] of writers.entries()) {
        await writer.publish(`${topic}/${i}`, topic, { qos: 1 })
        await writer.publish(`${topic}/shared`, topic, { qos: 1 })
      }
      // One for each writer by the filter, and two of what matches the shared one, too.
      for (let i = 0; i < 3 * writers.length; i++) expect(String((await reader.receive()).payload)).toBe(topic)
    }
  }
})

test.each([2, 3] as const)('after UNSUBACK no one of %i nodes sends anything more', async count => {
  const all = await nodes(count)
  const writers = await Promise.all(all.map(node => node.connect()))
  for (const [kind, version] of kinds) {
    const reader = await all.at(-1)!.connect({ ...session(kind, version), clientId: `${kind}-${version}` })
    await reader.subscribe('end', 1)
    for (let round = 0; round < rounds; round++) {
      const topic = `${kind}/${version}/${round}`
      await reader.subscribe(topic, 1)
      await reader.unsubscribe(topic)
      for (const writer of writers) await writer.publish(topic, 'too late', { qos: 1 })
    }
    for (const writer of writers) await writer.publish('end', 'end', { qos: 1 })
    for (const _ of writers) expect(String((await reader.receive()).payload)).toBe('end')
  }
})

test.each([2, 3] as const)(
  'a client that comes again at another of %i nodes is offline, then online: in what is retained, and for all who listen',
  async count => {
    const all = await nodes(count)
    const listeners = await Promise.all(all.map(node => node.connect()))
    for (const listener of listeners) await listener.subscribe('state/#', 1)
    for (const [kind, version] of kinds) {
      for (const [willQos, qos] of [
        [1, 1],
        [1, 0],
        [0, 1],
      ] as const) {
        const clientId = `${kind}-${version}-${willQos}-${qos}`
        const topic = `state/${clientId}`
        const will = { topic, payload: Buffer.from('offline'), qos: willQos, retain: true }
        const options = { ...session(kind, version), clientId, will }
        const heard = listeners.map(() => [] as string[])
        const expected: string[] = []
        for (let round = 0; round < rounds; round++) {
          const client = all[round % count]!.open(version)
          client.sendConnect(options)
          client.sendPublish(topic, `online ${round}`, { qos, retain: true })
          await client.next(PacketType.Connack)
          if (qos === 1) await client.next(PacketType.Puback)
          expected.push(...(round === 0 ? [] : ['offline']), `online ${round}`)
          for (const [i, listener] of listeners.entries()) heard[i]!.push(...(await until(listener, `online ${round}`)))
        }
        for (const one of heard) expect(one).toEqual(expected)
        const late = await all[0]!.connect()
        await late.subscribe(topic)
        expect(String((await late.receive()).payload)).toBe(`online ${rounds - 1}`)
      }
    }
  },
)

test('a retained message that is published while a SUBSCRIBE is under way at another node comes at least once', async () => {
  const [a, b] = await startNodes(2, patient)
  const writer = await a.connect()
  for (let round = 0; round < 30; round++) {
    const reader = await b.connect()
    // At a different moment each time: before it, and while what it announces is on its way.
    const subscribed = reader.subscribe(`r/${round}/#`, 1)
    for (let turn = 0; turn < round; turn++) await new Promise(resolve => setImmediate(resolve))
    await Promise.all([subscribed, writer.publish(`r/${round}/x`, 'kept', { qos: round % 2 === 0 ? 1 : 0, retain: true })])
    // It may have come before SUBACK.
    await eventually(() => reader.heard.some(packet => packet.type === PacketType.Publish))
    reader.drop()
  }
})

test('a retained message is found by whoever subscribes at another node once it is acknowledged', async () => {
  const [a, b] = await startNodes(2, patient)
  const writer = await a.connect()
  for (let round = 0; round < rounds; round++) {
    await writer.publish(`r/${round}`, String(round), { qos: 1, retain: true })
    const reader = await b.connect()
    await reader.subscribe(`r/${round}/#`)
    expect(String((await reader.receive()).payload)).toBe(String(round))
    reader.drop()
  }
})

test('however many clients subscribe in one turn, a node announces once and the other confirms once', async () => {
  const { redis, nodes } = await startOnRedis(2, patient)
  const [a, b] = nodes as [TestNode, TestNode]
  const readers = await Promise.all(Array.from({ length: 50 }, () => b.connect()))
  const told = vi.spyOn(a.broker.services.get('bus'), 'tell')
  await Promise.all(readers.map((reader, i) => reader.subscribe([`many/${i}/+`, `more/${i}`], 1)))
  const key = 'mqttx.session.key:cluster:{all}:log'
  const entries = ((await redis.call('XRANGE', key, '-', '+')) as [string, string[]][]).map(([, fields]) => fields.join(' '))
  expect(entries.filter(entry => entry.includes('many/'))).toHaveLength(1)
  expect(entries.find(entry => entry.includes('many/'))).toMatch(/many\/0\/\+.*many\/49\/\+.*\["n",/)
  expect(told).toHaveBeenCalledTimes(1)
})

test('a node that does not confirm is left out once, counted, and waited for again when it does', async () => {
  const redis = await RedisServer.start()
  onTestFinished(() => redis.stop())
  const line = await TcpProxy.start(redis.port)
  onTestFinished(() => line.stop())
  const config = { cluster: { heartbeat: 100, expiry: '60s', confirmTimeout: '200ms' } } as Config
  const a = await TestNode.start('a', { url: `redis://127.0.0.1:${line.port}` }, config)
  const b = await TestNode.start('b', { url: redis.url }, config)
  const reader = await b.connect()
  await reader.subscribe('before')
  expect(b.cluster.confirmations.living).toEqual(['a'])
  line.cut('silent')
  for (let i = 0; i < 5; i++) await reader.subscribe(`t/${i}`, 1)
  expect([b.cluster.confirmations.leftOut, b.cluster.confirmations.absent]).toEqual([1, 1])
  line.heal()
  await eventually(() => b.cluster.confirmations.absent === 0)
  const writer = await a.connect()
  for (let i = 0; i < 5; i++) await writer.publish(`t/${i}`, String(i), { qos: 1 })
  for (let i = 0; i < 5; i++) expect(String((await reader.receive()).payload)).toBe(String(i))
})

test.each([
  ['silent', 'for a moment'],
  ['silent', 'until it notices'],
  ['refused', 'until it notices'],
] as const)(
  'the will of a connection at a node that was cut off (%s, %s) does not come behind what the client publishes elsewhere',
  async (how, long) => {
    const redis = await RedisServer.start()
    onTestFinished(() => redis.stop())
    const line = await TcpProxy.start(redis.port)
    onTestFinished(() => line.stop())
    const config = { cluster: { heartbeat: 100, expiry: '60s', confirmTimeout: '500ms' } } as Config
    const a = await TestNode.start('a', { url: `redis://127.0.0.1:${line.port}`, commandTimeout: '500ms', connectTimeout: '500ms' }, config)
    const b = await TestNode.start('b', { url: redis.url }, config)
    const options = { clientId: 'x', will: { topic: 'state', payload: Buffer.from('offline'), qos: 1 as const, retain: true } }
    const old = await a.connect(options)
    await old.publish('state', 'online 0', { qos: 1, retain: true })
    line.cut(how)
    const young = await b.connect(options)
    await young.publish('state', 'online 1', { qos: 1, retain: true })
    if (long === 'until it notices') await eventually(() => !a.broker.services.get('bus').connected)
    line.heal()
    await old.closed
    await eventually(() => b.cluster.confirmations.absent === 0)
    for (const node of [a, b]) {
      const late = await node.connect()
      await late.subscribe('state')
      expect(String((await late.receive()).payload)).toBe('online 1')
    }
    expect(a.broker.counters.dropped.refused).toBe(1)
  },
)

test('a node of an older version is never waited for', async () => {
  const [a, b] = await startNodes(2, patient)
  // As 0.2.0 says of itself in its signs of life.
  b.cluster.confirmations.left('n1')
  b.cluster.confirmations.joined({ name: 'n1', boot: 'old', facts: { clusterVersion: 1 } })
  a.cluster.step.lost()
  const reader = await b.connect()
  await reader.subscribe('t', 1)
  expect(b.cluster.confirmations.leftOut).toBe(0)
  expect([b.cluster.confirmations.living, b.cluster.confirmations.absent]).toEqual([[], 0])
})

test('with Redis away answers leave at once', async () => {
  const { redis, nodes } = await startOnRedis(2, patient)
  const [a] = nodes as [TestNode]
  await redis.kill()
  await eventually(() => !a.broker.services.get('bus').connected)
  const reader = await a.connect()
  await reader.subscribe('t', 0)
  await reader.unsubscribe('t')
  await reader.subscribe('u', 0)
  await (await a.connect()).publish('u', 'm')
  expect(String((await reader.receive()).payload)).toBe('m')
})

test('nothing is sent to a resumed session before its CONNACK, and QoS 1 that came meanwhile follows it', async () => {
  const [a, b] = await startNodes(2, patient)
  const options = { clientId: 'c', cleanStart: false, properties: { sessionExpiry: 3600 } }
  const first = await b.connect(options)
  await first.subscribe('t', 1)
  first.disconnect()
  await first.closed
  let goOn!: () => void
  const held = new Promise<void>(resolve => {
    goOn = resolve
  })
  b.running.hooks.onAnswer.tapPromise('test', () => held)
  const again = b.open(5)
  again.sendConnect(options)
  await eventually(() => b.broker.roster.get('c')?.client != null)
  const writer = await a.connect()
  await writer.publish('t', 'one', { qos: 1 })
  await b.broker.publish({ topic: 't', payload: 'zero', qos: 0 })
  await b.broker.publish({ topic: 't', payload: 'two', qos: 1 })
  expect(again.heard).toEqual([])
  goOn()
  await again.next(PacketType.Connack)
  expect([String((await again.receive()).payload), String((await again.receive()).payload)]).toEqual(['one', 'two'])
})

test('a retained message that Redis had forgotten is found at all nodes when it is set again', async () => {
  const { redis, nodes } = await startOnRedis(2, patient)
  const [a, b] = nodes as [TestNode, TestNode]
  const writer = await a.connect()
  const reader = await b.connect()
  await writer.publish('r/1', 'first', { qos: 1, retain: true })
  await reader.subscribe('r/#')
  expect(String((await reader.receive()).payload)).toBe('first')
  // As when it expires: nobody is told.
  const [key] = (await redis.call('KEYS', '*r/1*')) as [string]
  await redis.call('DEL', key)
  const retained = b.broker.services.get('retained')
  expect(await retained.match('r/#').next(10)).toEqual({ messages: [], done: true })
  expect(retained.size).toBe(0)
  await writer.publish('r/1', 'second', { qos: 1, retain: true })
  const late = await b.connect()
  await late.subscribe('r/#')
  expect(String((await late.receive()).payload)).toBe('second')
})
