import { execFileSync } from 'node:child_process'
import { expect, onTestFinished, test } from 'vitest'
import { type Meaning, verdictOn } from '../../plugins/redis/verdicts.ts'
import { type Config, createBroker } from '../../presets/index.ts'
import { TestNode } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import { keptLog, type LogLine } from '../support/log.ts'
import { RedisServer } from '../support/redis.ts'
import { RedisProxy } from '../support/redis-proxy.ts'

// Goal: a refusal is not an outage. What Redis says against one write, key or record harms that one, which is refused, counted and named; the others in the lane go on and Redis
// does not count as away. What says that Redis cannot be reached, or cannot work, makes everything wait. The replies are real ones where Redis can be brought to give them.

const table: readonly (readonly [error: string, meaning: Meaning])[] = [
  ['WRONGTYPE Operation against a key holding the wrong kind of value', 'refused'],
  ["NOPERM this user has no permissions to run the 'evalsha' command", 'refused'],
  ['NOPERM No permissions to access a key', 'refused'],
  ["CROSSSLOT Keys in request don't hash to the same slot", 'refused'],
  ['All the keys in a pipeline command should belong to the same slot', 'refused'],
  ['All keys in the pipeline should belong to the same slots allocation group', 'refused'],
  ['ERR Protocol error: invalid bulk length', 'refused'],
  ['ERR string exceeds maximum allowed size (proto-max-bulk-len)', 'refused'],
  ['ERR Error running script (call to f_1): @user_script:1: something', 'refused'],
  ['ERR value is not an integer or out of range', 'refused'],
  ["ERR unknown command 'EVALSHA'", 'refused'],
  ['STALE a later batch has been done', 'refused'],
  ["OOM command not allowed when used memory > 'maxmemory'.", 'full'],
  ['NOSCRIPT No matching script. Please use EVAL.', 'script'],
  ['EMPTIED what was written here last is gone', 'emptied'],
  ['NOAUTH Authentication required.', 'away'],
  ['WRONGPASS invalid username-password pair or user is disabled.', 'away'],
  ['ERR max number of clients reached', 'away'],
  ['ERR DB index is out of range', 'away'],
  ['LOADING Redis is loading the dataset in memory', 'away'],
  ['BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.', 'away'],
  ['MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist to disk.', 'away'],
  ["MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", 'away'],
  ["READONLY You can't write against a read only replica.", 'away'],
  ['NOREPLICAS Not enough good replicas to write.', 'away'],
  ['CLUSTERDOWN The cluster is down', 'away'],
  ['MOVED 3999 127.0.0.1:6381', 'doubtful'],
  ['ASK 3999 127.0.0.1:6381', 'doubtful'],
  ['TRYAGAIN Multiple keys request during rehashing of slot', 'doubtful'],
  ['Too many Cluster redirections. Last error: ReplyError: MOVED 1 a:1', 'doubtful'],
  ['Command timed out', 'away'],
  ['Connection is closed.', 'away'],
  ['the connection has broken', 'away'],
  ['Command aborted due to connection close', 'away'],
  ["Stream isn't writeable and enableOfflineQueue options is false", 'away'],
  ['Reached the max retries per request limit (which is 20). Refer to "maxRetriesPerRequest" option for details.', 'away'],
  ['Failed to refresh slots cache.', 'away'],
  ['None of startup nodes is available', 'away'],
  ["Cluster isn't ready and enableOfflineQueue options is false", 'away'],
  ['All sentinels are unreachable. Retrying from scratch after 50ms.', 'away'],
  ['connect ECONNREFUSED 127.0.0.1:6379', 'away'],
  ['read ECONNRESET', 'away'],
  ['getaddrinfo ENOTFOUND redis', 'away'],
  ['Protocol error, got "x" as reply type byte. Please report this.', 'doubtful'],
  ['NEWWORD that no version of Redis has said yet', 'doubtful'],
]

test.each(table)('%s', (text, meaning) => {
  expect(verdictOn(new Error(text)).meaning).toBe(meaning)
})

async function serverWith(...args: string[]): Promise<RedisServer> {
  const server = await RedisServer.start(...args)
  onTestFinished(() => server.stop())
  return server
}

interface Started {
  readonly node: TestNode
  readonly lines: LogLine[]
  refused(): Record<string, number>
  isUp(): boolean
}

async function nodeOn(redis: object): Promise<Started> {
  const { lines, plugin } = keptLog()
  const node = await TestNode.start('n1', redis, { cluster: false, log: false, plugins: [plugin] } as Config)
  const figure = [...node.broker.figures].find(({ name }) => name === 'store_refused_total')!
  return {
    node,
    lines,
    refused: () => Object.fromEntries(figure.read().flatMap(({ labels, value }) => (value > 0 ? [[labels!.reason!, value]] : []))),
    isUp: () => node.broker.sessions.trouble?.() === null && !lines.some(({ message }) => message.includes('is away')),
  }
}

const durable = (clientId: string) => ({ clientId, cleanStart: false, properties: { sessionExpiry: 1000 } })

/** A session that is subscribed to `t/{its client id}` and has gone. */
async function parked(node: TestNode, clientId: string): Promise<void> {
  const client = await node.connect(durable(clientId))
  await client.subscribe(`t/${clientId}`, 1)
  client.disconnect()
  await client.ended()
}

/** Everybody else is served as if nothing were wrong: a hundred messages in the same lane, each of which arrives. */
async function othersGoOn(node: TestNode): Promise<void> {
  const reader = await node.connect(durable('other'))
  await reader.subscribe('t/other', 1)
  const writer = await node.connect({ clientId: 'other-writer' })
  for (let i = 0; i < 20; i++) expect(await writer.publish('t/other', String(i), { qos: 1 })).toMatchObject({ reasonCode: 0 })
  for (let i = 0; i < 20; i++) expect(String((await reader.receive()).payload)).toBe(String(i))
  writer.drop()
  reader.disconnect()
  await reader.ended()
}

test('a queue that another program has put something else in the place of refuses what is for it, 0x83, and nothing else', async () => {
  const server = await serverWith()
  const { node, lines, refused, isUp } = await nodeOn({ url: server.url })
  await parked(node, 'broken')
  await server.call('SET', 'mqttx:client:pubmsg:{broken}', 'not a queue')
  const writer = await node.connect({ clientId: 'writer' })
  expect(await writer.publish('t/broken', 'x', { qos: 1 })).toMatchObject({ reasonCode: 0x83 })
  expect(await writer.publish('t/broken', 'x', { qos: 2 })).toMatchObject({ reasonCode: 0x83 })
  await othersGoOn(node)
  expect(refused()).toEqual({ wrongType: 2 })
  expect(isUp()).toBe(true)
  expect(lines.filter(({ message }) => message.includes('WRONGTYPE'))).toEqual([
    expect.objectContaining({ level: 'warn', fields: { clientId: 'broken' }, message: expect.stringContaining('{broken}') }),
  ])
})

test('a session whose record is something else is refused to its client with 0x83; the sessions beside it are read at the next start', async () => {
  const server = await serverWith()
  const first = await nodeOn({ url: server.url })
  await parked(first.node, 'whole')
  await parked(first.node, 'broken')
  await server.call('DEL', 'mqttx.session.key:{broken}')
  await server.call('SET', 'mqttx.session.key:{broken}', 'not a session')
  const refusedClient = await first.node.connect(durable('broken'))
  expect(refusedClient.heard[0]).toMatchObject({ reasonCode: 0x83 })
  await othersGoOn(first.node)
  expect(first.isUp()).toBe(true)
  await first.node.running.stop()

  const again = await nodeOn({ url: server.url })
  expect(again.refused()).toMatchObject({ wrongType: 1 })
  const writer = await again.node.connect({ clientId: 'writer' })
  expect(await writer.publish('t/whole', 'x', { qos: 1 })).toMatchObject({ reasonCode: 0 })
  const whole = await again.node.connect(durable('whole'))
  expect(String((await whole.receive()).payload)).toBe('x')
  expect(again.isUp()).toBe(true)
})

test.each([
  'mqttx.session.key:format',
  'mqttx.session.key:mark:{all}',
  'mqttx.session.key:totals:{all}',
  'mqttx.session.key:clean-wills',
  'mqttx.session.key:node:n1',
])('something else in the place of %s is in the way of nobody, at start and while it runs', async key => {
  const server = await serverWith()
  await server.call('LPUSH', key, 'something else')
  const { node, isUp } = await nodeOn({ url: server.url })
  await othersGoOn(node)
  await server.call('DEL', key)
  await server.call('LPUSH', key, 'something else')
  await othersGoOn(node)
  expect(isUp()).toBe(true)
})

test('a retained message that is something else is left out, and named; the others of the same page are sent', async () => {
  const server = await serverWith()
  const { node, refused, isUp } = await nodeOn({ url: server.url })
  const writer = await node.connect({ clientId: 'writer' })
  for (const topic of ['r/a', 'r/b', 'r/c', 'r/d']) await writer.publish(topic, topic, { qos: 1, retain: true })
  await server.call('DEL', 'mqttx:retain:r/b')
  await server.call('LPUSH', 'mqttx:retain:r/b', 'x')
  await server.call('SET', 'mqttx:retain:r/c', 'not a message')
  const reader = await node.connect({ clientId: 'reader' })
  await reader.subscribe('r/#', 1)
  expect([(await reader.receive()).topic, (await reader.receive()).topic]).toEqual(['r/a', 'r/d'])
  expect(refused()).toEqual({ wrongType: 1, damaged: 1 })
  expect(isUp()).toBe(true)
})

test('an entry and a body that cannot be read stay in the queue; what stands behind them is delivered', async () => {
  const server = await serverWith()
  const { node, refused } = await nodeOn({ url: server.url })
  await parked(node, 'reader')
  const writer = await node.connect({ clientId: 'writer' })
  for (const payload of ['a', 'b', 'c']) await writer.publish('t/reader', payload, { qos: 1 })
  const client = server.client()
  onTestFinished(() => client.disconnect())
  const queue = 'mqttx:client:pubmsg:{reader}'
  const [, second] = (await client.callBuffer('ZRANGE', queue, 0, -1)) as Buffer[]
  await client.zrem(queue, second!)
  const damaged = Buffer.from(second!)
  damaged.fill(0xff, 16)
  await client.zadd(queue, '2', damaged)
  const reader = await node.connect(durable('reader'))
  expect([String((await reader.receive()).payload), String((await reader.receive()).payload)]).toEqual(['a', 'c'])
  await eventually(async () => (await client.zcard(queue)) === 1)
  expect(refused()).toEqual({ damaged: 1 })
})

test('a message that is larger than Redis takes is refused by itself, though Redis breaks the connection over it', async () => {
  const server = await serverWith('--proto-max-bulk-len', '1mb')
  const { node, refused, lines } = await nodeOn({ url: server.url })
  await parked(node, 'reader')
  const writer = await node.connect({ clientId: 'writer' })
  const large = writer.publish('t/reader', Buffer.alloc(1_500_000, 'x'), { qos: 1 })
  expect(await large).toMatchObject({ reasonCode: 0x83 })
  // Redis has broken the connection; what comes next waits for another.
  expect(await writer.publish('t/reader', 'small', { qos: 1 })).toMatchObject({ reasonCode: 0 })
  await othersGoOn(node)
  // Redis says why and resets the connection; the reset may come first.
  const heard = lines.some(({ message }) => message.includes('proto-max-bulk-len'))
  expect(refused()).toEqual(heard ? { tooLarge: 1 } : { other: 1 })
})

test('a user who may not write one key is refused that one: it is found among all that lies in the batch', async () => {
  const server = await serverWith()
  await server.call('ACL', 'SETUSER', 'broker', 'on', '>secret', '+@all', '~mqttx*', '&*')
  const { node, refused, isUp } = await nodeOn({ url: server.url, username: 'broker', password: 'secret' })
  await parked(node, 'broken')
  await parked(node, 'reader')
  await server.call(
    'ACL',
    'SETUSER',
    'broker',
    'resetkeys',
    '~mqttx.session*',
    '~mqttx:topic*',
    '~mqttx:alltopic*',
    '~mqttx:retain*',
    '~mqttx:body*',
    '~mqttx:client:pubrelmsg:*',
    '~mqttx:client:pubmsg:{other}',
    '~mqttx:client:pubmsg:{reader}',
  )
  const writer = await node.connect({ clientId: 'writer' })
  const answers = await Promise.all([
    ...[1, 2, 3].map(i => writer.publish('t/reader', String(i), { qos: 1 })),
    writer.publish('t/broken', 'x', { qos: 1 }),
    ...[4, 5, 6].map(i => writer.publish('t/reader', String(i), { qos: 1 })),
  ])
  expect(answers.map(answer => answer!.reasonCode)).toEqual([0, 0, 0, 0x83, 0, 0, 0])
  const reader = await node.connect(durable('reader'))
  for (let i = 1; i <= 6; i++) expect(String((await reader.receive()).payload)).toBe(String(i))
  await othersGoOn(node)
  expect(refused()).toEqual({ noPermission: 1 })
  expect(isUp()).toBe(true)
})

const poison = (command: readonly Buffer[]): boolean =>
  /^evalsha?$/i.test(String(command[0])) && command.some(part => part.includes('poison'))

test.each([
  ['NEWWORD that nobody has thought of', 'other'],
  ["CROSSSLOT Keys in request don't hash to the same slot", 'crossSlot'],
  ['ERR Error running script (call to f_1): @user_script:1: out of range', 'other'],
  ['break', 'other'],
])(
  'an error that comes again for one message while all others pass refuses that one: %s',
  async (error, reason) => {
    const server = await serverWith()
    const proxy = await RedisProxy.start(server.port)
    onTestFinished(() => proxy.stop())
    proxy.fault = command => (poison(command) ? error : null)
    const { node, refused } = await nodeOn({ url: proxy.url })
    await parked(node, 'reader')
    const writer = await node.connect({ clientId: 'writer' })
    const answers = await Promise.all(['a', 'b', 'poison', 'c', 'd'].map(payload => writer.publish('t/reader', payload, { qos: 1 })))
    expect(answers.map(answer => answer!.reasonCode)).toEqual([0, 0, 0x83, 0, 0])
    const reader = await node.connect(durable('reader'))
    for (const payload of ['a', 'b', 'c', 'd']) expect(String((await reader.receive()).payload)).toBe(payload)
    expect(refused()).toEqual({ [reason]: 1 })
    expect(node.broker.sessions.trouble?.()).toBe(null)
  },
  60_000,
)

test.each([
  'LOADING Redis is loading the dataset in memory',
  'CLUSTERDOWN The cluster is down',
  "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
  'NOAUTH Authentication required.',
  'NEWWORD that nobody has thought of',
  "NOPERM this user has no permissions to run the 'evalsha' command",
])(
  'an error that every write gets is an outage: the acknowledgement waits, nothing is refused, and it comes when Redis works again: %s',
  async error => {
    const server = await serverWith()
    const proxy = await RedisProxy.start(server.port)
    onTestFinished(() => proxy.stop())
    const { node, refused, lines } = await nodeOn({ url: proxy.url })
    await parked(node, 'reader')
    const writer = await node.connect({ clientId: 'writer' })
    proxy.fault = command => (/^evalsha?$/i.test(String(command[0])) ? error : null)
    const published = writer.publish('t/reader', 'x', { qos: 1 })
    await eventually(() => lines.some(({ message }) => message.includes('is away')) && proxy.faults > 3)
    expect(node.broker.sessions.trouble?.()).not.toBe(null)
    proxy.fault = () => null
    expect(await published).toMatchObject({ reasonCode: 0 })
    expect(refused()).toEqual({})
    await eventually(() => node.broker.sessions.trouble?.() === null)
  },
)

test('a script that runs for long makes writes wait, and refuses none (BUSY)', async () => {
  const server = await serverWith('--busy-reply-threshold', '50')
  const { node, refused } = await nodeOn({ url: server.url })
  await parked(node, 'reader')
  const writer = await node.connect({ clientId: 'writer' })
  const busy = server.call('EVAL', 'while true do end', 0).catch(() => {})
  const asks = server.client()
  onTestFinished(() => asks.disconnect())
  await eventually(async () => (await asks.ping().catch(error => error.message)).startsWith('BUSY'))
  const published = writer.publish('t/reader', 'x', { qos: 1 })
  await eventually(() => node.broker.sessions.trouble?.() !== null)
  await asks.call('SCRIPT', 'KILL')
  await busy
  expect(await published).toMatchObject({ reasonCode: 0 })
  expect(refused()).toEqual({})
})

test('a Redis that cannot save its snapshot makes writes wait until it can (MISCONF)', async () => {
  const server = await serverWith('--save', '3600 1')
  const { node, refused } = await nodeOn({ url: server.url })
  await parked(node, 'reader')
  const writer = await node.connect({ clientId: 'writer' })
  const client = server.client()
  onTestFinished(() => client.disconnect())
  await client.call('CONFIG', 'SET', 'rdb-key-save-delay', '10000000')
  await client.call('BGSAVE')
  const info = async (): Promise<string> => String(await client.call('INFO', 'persistence'))
  await eventually(async () => (await info()).includes('rdb_bgsave_in_progress:1'))
  // A child that is killed is a snapshot that failed.
  const children = execFileSync('pgrep', ['-P', String(server.pid)])
    .toString()
    .trim()
    .split('\n')
  for (const child of children) process.kill(Number(child), 'SIGKILL')
  await eventually(async () => (await info()).includes('rdb_last_bgsave_status:err'))
  const published = writer.publish('t/reader', 'x', { qos: 1 })
  await eventually(() => node.broker.sessions.trouble?.() !== null)
  await client.call('CONFIG', 'SET', 'rdb-key-save-delay', '0')
  await client.call('CONFIG', 'SET', 'stop-writes-on-bgsave-error', 'no')
  expect(await published).toMatchObject({ reasonCode: 0 })
  expect(refused()).toEqual({})
})

test('another reason for being away is said, too', async () => {
  const server = await serverWith()
  const { lines, plugin } = keptLog()
  const config = { preset: 'dev', socket: false, log: false, plugins: [plugin], redis: { url: server.url }, allowAnonymous: true } as Config
  const running = await createBroker(config).start()
  onTestFinished(() => running.stop())
  await server.kill()
  await eventually(() => lines.some(({ message }) => message.includes('is away') && !message.includes('WRONGPASS')))
  const secret = new RedisServer(server.port, ['--requirepass', 'secret'])
  await secret.start()
  onTestFinished(() => secret.stop())
  await eventually(() => lines.some(({ message }) => message.includes('still away') && message.includes('NOAUTH')))
  expect(lines.filter(({ message }) => message.includes('still away')).length).toBeLessThan(4)
})
