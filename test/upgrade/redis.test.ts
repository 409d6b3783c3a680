import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Config, createBroker } from '../../presets/index.ts'
import type { RunningBroker } from '../../presets/shell/running-broker.ts'
import { ManualClock } from '../../presets/testing/manual-clock.ts'
import { settled } from '../../presets/testing/settled.ts'
import { TestClient } from '../support/client.ts'
import { coreOf } from '../support/core.ts'
import { eventually } from '../support/eventually.ts'
import { RedisServer } from '../support/redis.ts'
import { loadRedis } from '../support/redis-dump.ts'
import { expectHistory } from './expected.ts'
import { forThree, storedSessions, waitingCount } from './history.ts'

// Goal: what an older version has kept in Redis, and was killed over, is taken up by this one: nothing is lost, and order, DUP and packet identifiers
// are right. redis-1 was written by version 0.1.0 (commit ae0ad15), redis-2 by version 0.2.0 (0d32821); write.ts made them.

const fixture = (part: string): Buffer => readFileSync(new URL(part, import.meta.url))
const killedAtOf = (store: string): number => (JSON.parse(fixture(`${store}/facts.json`).toString()) as { killedAt: number }).killedAt
const killedAt = killedAtOf('redis-1')
let folder: string
let server: RedisServer
let brokers: RunningBroker[] = []
let ticking: NodeJS.Timeout[] = []

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'mqttx-upgraded-'))
  server = await RedisServer.start()
})
afterEach(async () => {
  for (const timer of ticking) clearInterval(timer)
  ticking = []
  await Promise.all(brokers.map(running => running.stop()))
  brokers = []
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
})

async function unpack(store: string): Promise<void> {
  mkdirSync(join(folder, 'queue'))
  writeFileSync(join(folder, 'queue', 'data.mdb'), gunzipSync(fixture(`${store}/queue.mdb.gz`)))
  const client = server.client()
  await loadRedis(client, JSON.parse(gunzipSync(fixture(`${store}/keys.json.gz`)).toString()))
  client.disconnect()
}

async function start(more: object = {}, at = killedAt): Promise<{ running: RunningBroker; clock: ManualClock }> {
  const clock = new ManualClock(at)
  const config = {
    preset: 'dev',
    log: { level: process.env.TEST_LOG ?? 'silent' },
    socket: { port: 0, host: '127.0.0.1' },
    redis: { url: server.url },
    ...more,
  } as Config
  const running = await createBroker(config, { clock }).start()
  brokers.push(running)
  // Time goes on by itself, too: a broker that was at its last sweep when the test moved the clock on gets another.
  ticking.push(setInterval(() => clock.advance(100), 100))
  return { running, clock }
}

test.each(['redis-1', 'redis-2'])('a Redis of an older version is taken up with all that it held: %s', async store => {
  await unpack(store)
  const { running, clock } = await start({ diskQueue: { path: join(folder, 'queue') }, delay: {} }, killedAtOf(store))
  const open = (version: 4 | 5) => new TestClient(connect({ port: running.port, host: '127.0.0.1', noDelay: true }), version)
  await expectHistory(open, async ms => {
    clock.sleep(ms)
    await settled()
  })
})

test('sessions of version 0.1.0 are brought to the format of this one, counted once by however many nodes, and each belongs to its first user', async () => {
  await unpack('redis-1')
  const nodes = await Promise.all(['a', 'b', 'c'].map(brokerId => start({ brokerId })))
  const stores = nodes.map(({ running }) => coreOf(running).sessions)
  const { sessions, next } = await stores[0]!.list!(null, 100)
  expect(next).toBeNull()
  expect(sessions.map(({ clientId }) => clientId).sort()).toEqual(storedSessions)
  for (const { clientId, user } of sessions) expect([clientId, user]).toEqual([clientId, undefined])
  const queued = Object.fromEntries(sessions.map(({ clientId, queued: { messages } }) => [clientId, messages]))
  expect(queued).toMatchObject({ absent: waitingCount + 1, reader: 15, worker: 1, old: 1, expires: 1, publisher: 0 })
  const client = server.client()
  await eventually(async () => {
    const formats = await Promise.all(storedSessions.map(clientId => client.hget(`mqttx.session.key:{${clientId}}`, 'v')))
    return formats.every(format => format === '2')
  })
  client.disconnect()
  const totals = {
    sessions: sessions.length,
    messages: sessions.reduce((sum, { queued: { messages } }) => sum + messages, 0),
    bytes: sessions.reduce((sum, { queued: { bytes } }) => sum + bytes, 0),
  }
  for (const store of stores) expect(await store.totals!()).toEqual(totals)
  expect((await stores[1]!.peek!('absent', 0, 1))![0]!.message.payload.toString()).toBe(forThree)

  const claim = (user: string | null, store = 0) =>
    stores[store]!.claim({ clientId: 'absent', node: 'a', user, userOnly: true, cleanStart: false, expiryMs: 1e9, will: null })
  expect(await claim('eve')).toMatchObject({ present: true, queued: { messages: waitingCount + 1 } })
  await expect(claim('adam', 1)).rejects.toMatchObject({ code: 'ERR_SESSION_OWNED' })
})

test('what a newer version has written is refused by name, with the cure, at the start and later', async () => {
  await unpack('redis-1')
  const { running } = await start()
  const store = coreOf(running).sessions
  const client = server.client()
  // One session only, as where a newer node has come since.
  await client.hset('mqttx.session.key:{old}', 'v', 3)
  const claim = (clientId: string) =>
    store.claim({ clientId, node: 1, user: null, userOnly: false, cleanStart: false, expiryMs: 1e9, will: null })
  await expect(claim('old')).rejects.toMatchObject({ code: 'ERR_STORED_FORMAT', message: expect.stringContaining('format 3') })
  expect(await claim('absent')).toMatchObject({ present: true })
  await client.set('mqttx.session.key:format', 3)
  client.disconnect()
  await expect(start({ brokerId: 'late' })).rejects.toMatchObject({
    code: 'ERR_REDIS_NEWER',
    message: expect.stringMatching(/redis\.url: .*format 3; this version reads up to 2.*start that version/),
  })
})
