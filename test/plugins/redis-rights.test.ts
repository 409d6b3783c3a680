import { readFileSync } from 'node:fs'
import { expect, onTestFinished, test } from 'vitest'
import { neededCommands } from '../../plugins/redis/rights.ts'
import type { Config } from '../../presets/index.ts'
import { TestNode } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import { keptLog, type LogLine } from '../support/log.ts'
import { RedisServer } from '../support/redis.ts'

// Goal: the user of Redis needs the rights that docs/redis-keys.md lists, no more, and a broker whose user lacks one says which before it serves anybody.

const page = readFileSync(new URL('../../docs/redis-keys.md', import.meta.url), 'utf8')
const listed = /^ACL SETUSER mqttx (.*)$/m.exec(page)![1]!.replace('>PASSWORD', '>secret').split(' ')

async function serverWith(...args: string[]): Promise<RedisServer> {
  const server = await RedisServer.start(...args)
  onTestFinished(() => server.stop())
  return server
}

async function nodeOn(
  server: RedisServer,
  redis: object = {},
  config: object = {},
  name = 'n1',
): Promise<{ node: TestNode; lines: LogLine[] }> {
  const { lines, plugin } = keptLog()
  return { node: await TestNode.start(name, { url: server.url, ...redis }, { log: false, plugins: [plugin], ...config } as Config), lines }
}

const user = { username: 'broker', password: 'secret' }
const durable = (clientId: string) => ({ clientId, cleanStart: false, properties: { sessionExpiry: 1000 } })

test('with exactly the rights that are listed two nodes are one broker, and nothing is refused', async () => {
  const server = await serverWith()
  await server.call('ACL', 'SETUSER', 'broker', ...listed)
  const nodes = [await nodeOn(server, user, {}, 'n1'), await nodeOn(server, user, {}, 'n2')]
  const [a, b] = nodes.map(({ node }) => node) as [TestNode, TestNode]
  const reader = await a.connect(durable('reader'))
  await reader.subscribe('t/#', 2)
  await a.wants('none', b, false)
  await b.wants('t/1', a)
  const writer = await b.connect(durable('writer'))
  for (const qos of [1, 2] as const)
    expect(await writer.publish('t/1', `at ${qos}`, { qos, retain: true })).toMatchObject({ reasonCode: 0 })
  expect([String((await reader.receive()).payload), String((await reader.receive()).payload)]).toEqual(['at 1', 'at 2'])
  reader.disconnect()
  await reader.ended()
  const again = await b.connect({ ...durable('reader'), cleanStart: true })
  await again.subscribe('t/#', 1)
  expect(String((await again.receive()).payload)).toBe('at 2')
  const log = (await server.call('ACL', 'LOG')) as unknown[]
  const refused = log.map(entry => JSON.stringify(entry)).filter(entry => !/info|config|client/.test(entry))
  expect(refused).toEqual([])
  for (const { lines } of nodes) expect(lines.filter(({ message }) => message.includes('is away'))).toEqual([])
}, 60_000)

test('each command that is looked at is listed, and the other way round', () => {
  const commands = listed.filter(right => right.startsWith('+')).map(right => right.slice(1))
  expect(commands).toEqual(expect.arrayContaining([...neededCommands]))
})

test.each([
  ['+time', ['-time']],
  ['+evalsha', ['-evalsha']],
  ['+xread', ['-xread']],
  ['+subscribe', ['-subscribe']],
  ['+scan', ['-scan']],
  ['&mqttx.session.key:wire:*', ['resetchannels']],
  ['~mqttx:retain*', ['resetkeys', '~mqttx.session*', '~mqttx:client*', '~mqttx:topic*', '~mqttx:alltopic*', '~mqttx:body*']],
])('a user without %s is refused at start, and the line says so', async (right, rules) => {
  const server = await serverWith()
  await server.call('ACL', 'SETUSER', 'broker', ...listed, ...rules)
  await expect(nodeOn(server, user)).rejects.toMatchObject({ code: 'ERR_REDIS_RIGHTS', message: expect.stringContaining(right) })
})

test('one broker needs no channels', async () => {
  const server = await serverWith()
  await server.call('ACL', 'SETUSER', 'broker', ...listed, 'resetchannels', '-publish', '-subscribe')
  const { node } = await nodeOn(server, user, { cluster: false })
  expect((await node.connect(durable('c'))).heard[0]).toMatchObject({ reasonCode: 0 })
})

test('clusters in two databases of one Redis hear nothing of one another; with a prefix, nor in one database', async () => {
  const server = await serverWith()
  const clusters = await Promise.all(
    [[{ database: 0 }], [{ database: 1 }], [{ database: 1, prefix: 'other:' }]].map(async ([redis], i) => {
      const one = (await nodeOn(server, redis, {}, 'n1')).node
      const two = (await nodeOn(server, redis, {}, 'n2')).node
      const reader = await two.connect({ clientId: `reader${i}` })
      await reader.subscribe('q/0', 0)
      await one.wants('q/0', two)
      return { one, reader }
    }),
  )
  for (const [i, { one }] of clusters.entries()) {
    const writer = await one.connect({ clientId: `writer${i}` })
    await writer.publish('q/0', String(i), { qos: 0 })
  }
  for (const [i, { reader }] of clusters.entries()) {
    expect(String((await reader.receive()).payload)).toBe(String(i))
    expect(await reader.payloads()).toEqual([])
  }
  const inOne = server.client()
  onTestFinished(() => inOne.disconnect())
  await inOne.select(1)
  const keys = await inOne.keys('*')
  expect(keys.filter(key => !key.startsWith('mqttx') && !key.startsWith('other:mqttx'))).toEqual([])
  expect(keys.some(key => key.startsWith('other:'))).toBe(true)
}, 60_000)

test.each([
  [['--appendonly', 'no'], 'appendonly no'],
  [['--appendonly', 'yes', '--appendfsync', 'no'], 'appendfsync is no'],
  [['--appendonly', 'yes', '--maxmemory-policy', 'allkeys-lru'], 'maxmemory-policy allkeys-lru'],
])('a Redis that may lose what it acknowledges is warned of: %j', async (args, text) => {
  const server = await serverWith(...args)
  const { lines } = await nodeOn(server, {}, { cluster: false })
  await eventually(() => lines.some(({ level, message }) => level === 'warn' && message.includes(text)))
  const accepting = await nodeOn(server, { acceptVolatile: true }, { cluster: false })
  await accepting.node.connect(durable('c'))
  expect(accepting.lines.filter(({ message }) => message.includes(text))).toEqual([])
})

test('where the user may not look, it is said that nobody could', async () => {
  const server = await serverWith()
  await server.call('ACL', 'SETUSER', 'broker', ...listed)
  const { lines } = await nodeOn(server, user, { cluster: false })
  await eventually(() => lines.some(({ message }) => message.includes('could not be looked at')))
})
