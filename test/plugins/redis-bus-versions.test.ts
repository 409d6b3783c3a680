import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Log } from '../../core/log.ts'
import { silentLog } from '../../core/log.ts'
import type { BusEvents } from '../../plugins/kit/services/bus.ts'
import { messageFormat } from '../../plugins/kit/stored-message.ts'
import { SystemClock } from '../../plugins/kit/system-clock.ts'
import { RedisBus } from '../../plugins/redis/bus.ts'
import { busVersion } from '../../plugins/redis/bus-version.ts'
import { messageOf } from '../core/messages.ts'
import { eventually } from '../support/eventually.ts'
import { RedisServer } from '../support/redis.ts'
import { TestRedisStore } from '../support/redis-store.ts'

// Goal: nodes whose versions of the bus are one apart speak with one another; any other is refused by name, whoever of the two came first.

const membersKey = 'mqttx.session.key:cluster:{all}:members'
const terms = { heartbeatMs: 50, expiryMs: 5000, facts: () => ({}) }
let server: RedisServer
const ends: (() => unknown)[] = []

beforeEach(async () => {
  server = await RedisServer.start()
})
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
  await server.stop()
})

/** A bus that has not joined yet, with all that it tells and what it logs as an error. */
async function busOf(node: string) {
  const clock = new SystemClock()
  const store = await TestRedisStore.open({ url: server.url }, clock)
  const told: string[] = []
  const errors: string[] = []
  const log = { ...silentLog, error: (...said: unknown[]) => void errors.push(String(said.at(-1))) } as unknown as Log
  const bus = new RedisBus(store.writers, store.sessions, store.retained, store.state, store.options, clock, log, node)
  ends.push(async () => {
    await bus.stop()
    store.crash()
  })
  const events: BusEvents = {
    announced: (from, record) => void told.push(`announced ${from} ${JSON.stringify(record)}`),
    received: (from, frame) => void told.push(`received ${from} ${frame}`),
    joined: ({ name }) => void told.push(`joined ${name}`),
    left: ({ name }) => void told.push(`left ${name}`),
    inherited: () => {},
    expelled: () => void told.push('expelled'),
    missed: () => {},
    interrupted: () => {},
  }
  return { bus, events, told, errors, store }
}

/** A node of another version: its signs of life, as that version gives them. */
function stranger(name: string, versions: object): void {
  const client = server.client()
  let count = 0
  const sign = (): Promise<unknown> =>
    client.hset(membersKey, name, JSON.stringify({ ...versions, b: 'boot', c: ++count, f: {} })).catch(() => {})
  const timer = setInterval(() => void sign(), 20)
  void sign()
  ends.push(() => {
    clearInterval(timer)
    client.disconnect()
  })
}

const next = { v: busVersion + 1, o: busVersion }

test.each([
  ['no version', {}, /node old says no version of the bus.*0\.1\.0.*stop that node/],
  [
    'a version that is two newer',
    { v: busVersion + 2, o: busVersion + 1 },
    /node old speaks versions 2 to 3 of the bus, and this node version 1; upgrade this node/,
  ],
])('a node does not join where a living node says %s, and names it', async (_what, versions, message) => {
  stranger('old', versions)
  await eventually(async () => (await server.call('HEXISTS', membersKey, 'old')) === 1)
  const { bus, events } = await busOf('new')
  await expect(bus.open(events, terms)).rejects.toMatchObject({ code: 'ERR_BUS_VERSION', message: expect.stringMatching(message) })
  expect(await server.call('HKEYS', membersKey)).toEqual(['old'])
})

test('a node joins where a node of another version stands on the list that has died', async () => {
  await server.call('HSET', membersKey, 'old', JSON.stringify({ b: 'boot', c: 7, f: {} }))
  const { bus, events } = await busOf('new')
  await bus.open(events, terms)
  await bus.run()
  expect(bus.nodes().map(({ name }) => name)).toEqual(['new'])
  expect(await server.call('HKEYS', membersKey)).toEqual(['new'])
})

test('a node of another version that comes later is named in the log, and nothing of what it says is heard', async () => {
  const { bus, events, told, errors } = await busOf('new')
  await bus.open(events, terms)
  await bus.run()
  stranger('old', {})
  await eventually(() => errors.length > 0)
  expect(errors[0]).toMatch(/node old says no version of the bus/)
  const client = server.client()
  const log = 'mqttx.session.key:cluster:{all}:log'
  // As version 0.1.0 wrote it.
  await client.xadd(log, '*', 'n', 'old', 'k', 'j', 'd', JSON.stringify({ b: 'boot', c: 1, f: {} }))
  await client.xadd(log, '*', 'n', 'old', 'k', 'b', 'd', JSON.stringify({ b: 'boot', r: ['from the old'] }))
  await client.publish('mqttx.session.key:wire:new', Buffer.from('m\x03oldtold by the old'))
  client.disconnect()
  await bus.announce('own')
  bus.tell('new', Buffer.from('told by itself'))
  await eventually(() => told.includes('announced new "own"') && told.includes('received new told by itself'))
  expect(told.filter(line => /\bold\b/.test(line))).toEqual([])
  expect(bus.nodes().map(({ name }) => name)).toEqual(['new'])
  expect(errors.every(line => /old|a node/.test(line))).toBe(true)
})

test('a node speaks with one of the next version, which speaks its version, too', async () => {
  stranger('next', next)
  await eventually(async () => (await server.call('HEXISTS', membersKey, 'next')) === 1)
  const { bus, events, told, errors, store } = await busOf('new')
  await bus.open(events, terms)
  await bus.run()
  await eventually(() => told.includes('joined next'))
  const client = server.client()
  await client.xadd(
    'mqttx.session.key:cluster:{all}:log',
    '*',
    'v',
    busVersion,
    'n',
    'next',
    'k',
    'b',
    'd',
    JSON.stringify({ b: 'boot', r: ['hello'] }),
  )
  client.disconnect()
  await eventually(() => told.includes('announced next "hello"'))
  expect(store.writers.busVersion).toBe(busVersion)
  expect(bus.nodes().map(({ name }) => name)).toEqual(['new', 'next'])
  expect(errors).toEqual([])
})

test('while a node of 0.2.0 lives, what is stored is in the format that it reads; after that in the newest', async () => {
  // Its signs of life say no database.
  stranger('old', { v: busVersion, o: busVersion })
  await eventually(async () => (await server.call('HEXISTS', membersKey, 'old')) === 1)
  const { bus, events, store } = await busOf('new')
  await bus.open(events, { ...terms, expiryMs: 500 })
  await bus.run()
  const formatOf = async (topic: string): Promise<number> => {
    await store.retained.set(messageOf('x', { topic, username: 'anna', retain: true }))
    const client = server.client()
    const bytes = await client.getBuffer(store.writers.keys.retained(topic))
    client.disconnect()
    return bytes![0]!
  }
  expect(await formatOf('a')).toBe(1)
  // It dies.
  ends.shift()!()
  await eventually(() => bus.nodes().length === 1)
  await eventually(async () => (await formatOf('b')) === messageFormat)
})
