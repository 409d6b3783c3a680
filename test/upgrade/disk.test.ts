import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { SessionPage } from '../../core/sessions/session-store.ts'
import { createBroker } from '../../presets/index.ts'
import type { RunningBroker } from '../../presets/shell/running-broker.ts'
import { ManualClock } from '../../presets/testing/manual-clock.ts'
import { settled } from '../../presets/testing/settled.ts'
import { TestClient } from '../support/client.ts'
import { coreOf } from '../support/core.ts'
import { expectHistory } from './expected.ts'
import { join as joinAs, storedSessions, waitingCount } from './history.ts'

// Goal: a folder that an older version has written, and was killed over, is taken up by this one: nothing is lost, and order, DUP and packet identifiers
// are right. disk-1 was written by version 0.1.0 (commit ae0ad15), disk-2 by version 0.2.0 (0d32821); write.ts made them.

const fixture = (part: string): Buffer => readFileSync(new URL(part, import.meta.url))
const killedAtOf = (store: string): number => (JSON.parse(fixture(`${store}/facts.json`).toString()) as { killedAt: number }).killedAt
const killedAt = killedAtOf('disk-1')
let folder: string
let running: RunningBroker | null = null

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mqttx-upgraded-'))
  unpack('disk-1')
})
afterEach(async () => {
  await running?.stop()
  running = null
  rmSync(folder, { recursive: true, force: true })
})

function unpack(store: string): void {
  for (const part of ['data', 'queue']) {
    mkdirSync(join(folder, part), { recursive: true })
    writeFileSync(join(folder, part, 'data.mdb'), gunzipSync(fixture(`${store}/${part}.mdb.gz`)))
  }
}

async function start(at: number): Promise<ManualClock> {
  const clock = new ManualClock(at)
  const config = {
    preset: 'test',
    memory: false,
    log: { level: 'silent' },
    socket: { port: 0, host: '127.0.0.1' },
    disk: { path: join(folder, 'data') },
    diskQueue: { path: join(folder, 'queue') },
    delay: {},
  } as const
  running = await createBroker(config, { clock }).start()
  return clock
}

const open = (version: 4 | 5): TestClient => new TestClient(connect({ port: running!.port, host: '127.0.0.1', noDelay: true }), version)

const stop = async (): Promise<void> => {
  await running!.stop()
  running = null
}

// Moves time on as a machine does that slept, so that an hour is not ten thousand turns.
const advanceOn = (clock: ManualClock) => async (ms: number) => {
  clock.sleep(ms)
  await settled()
}

async function page(): Promise<SessionPage> {
  return await coreOf(running!).sessions.list!(null, 100)
}

test.each(['disk-1', 'disk-2'])('a folder of an older version is taken up with all that it held: %s', async store => {
  unpack(store)
  const clock = await start(killedAtOf(store))
  await expectHistory(open, advanceOn(clock))
})

test('a folder of version 0.2.0 says whose each session is', async () => {
  unpack('disk-2')
  await start(killedAtOf('disk-2'))
  const users = (await page()).sessions.map(({ clientId, user }) => [clientId, user])
  expect(users.sort()).toEqual(storedSessions.map(clientId => [clientId, clientId === 'reader' || clientId === 'late-will' ? 'eve' : null]))
})

test('a folder of version 0.1.0 is the same at its second start, whatever was added at the first', async () => {
  await start(killedAt)
  const { sessions, next } = await page()
  expect(next).toBeNull()
  expect(sessions.map(({ clientId }) => clientId).sort()).toEqual(storedSessions)
  const queued = Object.fromEntries(sessions.map(({ clientId, queued: { messages } }) => [clientId, messages]))
  expect(queued).toMatchObject({ absent: waitingCount + 1, reader: 15, worker: 1, old: 1, expires: 1, publisher: 0 })
  const all = await coreOf(running!).sessions.totals!()
  expect(all.messages).toBe(sessions.reduce((sum, { queued: { messages } }) => sum + messages, 0))
  expect(all.bytes).toBe(sessions.reduce((sum, { queued: { bytes } }) => sum + bytes, 0))
  // Entries of this version behind those of the version before.
  const publisher = await joinAs(open, 'new', { expiry: 0, cleanStart: true })
  await publisher.subscribe('anything', 1)
  await publisher.publish('old/2', 'of this version', { qos: 1 })
  await publisher.publish('fan/2', 'for three again', { qos: 1 })
  publisher.disconnect()
  await publisher.closed
  await stop()

  const clock = await start(killedAt)
  expect((await page()).sessions.map(({ queued: { messages } }) => messages).reduce((sum, one) => sum + one)).toBe(all.messages + 4)
  for (const [clientId, version, added] of [
    ['old', 4, 'of this version'],
    ['other', 5, 'for three again'],
  ] as const) {
    const entries = (await coreOf(running!).sessions.peek!(clientId, 0, 10))!
    expect(entries.at(-1)!.message.payload.toString()).toBe(added)
    const client = await joinAs(open, clientId, { version })
    for (const { message } of entries) expect((await client.receive()).payload.toString()).toBe(message.payload.toString())
    client.disconnect()
    await client.closed
  }
  // Read, and with it acknowledged by those who were connected, is what is told apart from the history.
  for (const clientId of ['absent', 'reader']) {
    const [last] = (await coreOf(running!).sessions.peek!(clientId, 0, 1000))!.slice(-1)
    expect(last!.message.payload.toString()).toBe('for three again')
  }
  await advanceOn(clock)(1000)
})

test('a session of version 0.1.0 belongs to no user, and to the first who claims it from then on', async () => {
  await start(killedAt)
  for (const { clientId, user } of (await page()).sessions) expect([clientId, user]).toEqual([clientId, undefined])
  const claim = (user: string | null) =>
    coreOf(running!).sessions.claim({ clientId: 'absent', node: 1, user, userOnly: true, cleanStart: false, expiryMs: 1e9, will: null })
  expect(await claim('eve')).toMatchObject({ present: true, queued: { messages: waitingCount + 1 } })
  await expect(claim('adam')).rejects.toMatchObject({ code: 'ERR_SESSION_OWNED' })
  await stop()
  await start(killedAt)
  await expect(claim(null)).rejects.toMatchObject({ code: 'ERR_SESSION_OWNED' })
  expect((await page()).sessions.find(({ clientId }) => clientId === 'absent')).toMatchObject({ user: 'eve' })
})
