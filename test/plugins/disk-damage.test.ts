import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { silentLog } from '../../core/log.ts'
import type { QueueEntry } from '../../core/sessions/session-store.ts'
import { Database } from '../../plugins/disk/database.ts'
import { DiskQueues } from '../../plugins/disk/disk-queues.ts'
import { DiskStore } from '../../plugins/disk/disk-store.ts'
import { Kind, retainedKey } from '../../plugins/disk/keys.ts'
import { nameStoreRow } from '../../plugins/disk/row-names.ts'
import { checkedValue } from '../../plugins/disk/row-sums.ts'
import { alarmsOf } from '../../plugins/kit/alarms.ts'
import { createBroker } from '../../presets/index.ts'
import { ManualClock } from '../../presets/testing/manual-clock.ts'
import { commandLine } from '../config/command-line.ts'
import { folderWith } from '../config/folder.ts'
import { messageOf } from '../contracts/suite/sessions-harness.ts'
import { diskDefaults } from '../support/disk.ts'
import { fill, request } from '../support/filled-disk.ts'
import { keptLog } from '../support/log.ts'
import { MemoryRows } from '../support/memory-rows.ts'

// Goal: a bit that is not as it was written harms its row alone: that is refused and named, and nothing else is told otherwise than before. Method: every bit of every row of a store,
// one at a time, on rows in memory; then what an operator sees of it, on LMDB.

const storeOf = (): DiskStore => new DiskStore({ ...diskDefaults, path: '/memory' }, new ManualClock(), silentLog)

async function filled(): Promise<MemoryRows> {
  const rows = new MemoryRows()
  await fill(storeOf(), rows)
  return rows
}

/** All that a store shows, a line each. */
async function shown(store: DiskStore): Promise<string[]> {
  const lines: string[] = []
  const dropped: string[] = []
  const events = { dropped: (clientId: string) => void dropped.push(clientId), lost: () => {}, appended: () => {} }
  store.sessions.open(events, { messagesMax: 1000, bytesMax: 1e6, whenFull: 'dropNewest' })
  for (const { clientId, subscriptions } of store.sessions.sessions())
    for (const subscription of subscriptions) lines.push(`${clientId} subscribes ${JSON.stringify(subscription)}`)
  const { sessions } = await store.sessions.list(null, 10)
  for (const { clientId, user, expiresAt } of sessions) {
    lines.push(`${clientId} of ${user} until ${expiresAt}`)
    const will = (await store.sessions.inspect(clientId))?.will
    if (will != null) lines.push(`${clientId} will ${will.message.topic} ${will.message.payload}`)
  }
  for (const clientId of ['c', 'd']) {
    const { epoch, present, receivedIds, orphanedWill } = await store.sessions.claim({ ...request, clientId })
    if (orphanedWill != null) lines.push(`${clientId} owes a will`)
    if (!present) continue
    for (const id of receivedIds) lines.push(`${clientId} received ${id}`)
    for (const entry of await store.sessions.page({ clientId, epoch }, 0, 10)) lines.push(`${clientId} ${entryText(entry)}`)
  }
  for (const due of await store.sessions.expire(new ManualClock().now(), 10))
    lines.push(due.kind === 'will' ? `${due.clientId} owes ${due.will.message.payload}` : `${due.session.clientId} has ended`)
  const { messages } = await store.retained.match('#').next(10)
  for (const { topic, payload } of messages) lines.push(`retained ${topic} ${payload}`)
  for (const { key, value } of store.state.entries('')) lines.push(`state ${key} ${value}`)
  return lines.sort()
}

function entryText({ message, qos, retain, identifiers, group, packetId, released }: QueueEntry): string {
  return `queued ${message.topic} ${message.payload} ${JSON.stringify({ qos, retain, identifiers, group })} ${packetId} ${released}`
}

// An entry of which nobody knows any more that it was sent is sent again, as if it had not been.
const unsent = (line: string): string => (line.includes(' queued ') ? line.replace(/ \d+ (?:true|false)$/, ' 0 false') : line)
// The row that said so is under another key.
const unreleased = (line: string): string => (line.includes(' queued ') ? line.replace(/ true$/, ' false') : line)

// How many lines a damaged row may take away, where it is not one.
const linesOf: Record<string, (before: readonly string[]) => number> = {
  session: before => before.filter(line => line.startsWith('c ') || line.startsWith('d ')).length,
  body: () => 2,
  single: () => 0,
  life: () => 0,
  references: () => 0,
}

test('a bit of a row that is not as it was written is refused and named, and nothing else changes', async () => {
  const whole = await filled()
  const baseline = storeOf()
  await baseline.open(whole.copy())
  const before = await shown(baseline)
  await baseline.close()
  let flips = 0
  for (const [id, value] of whole.values) {
    const key = Buffer.from(id, 'latin1')
    for (let bit = 0; bit < (key.length + value.length) * 8; bit += bit % 8 === 7 ? 1 : 3) {
      const rows = whole.copy()
      const flipped = Buffer.concat([key, value])
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      const now = flipped.toString('latin1', 0, key.length)
      if (now !== id && rows.values.has(now)) continue
      rows.values.delete(id)
      rows.values.set(now, flipped.subarray(key.length))
      flips += 1
      const about = `bit ${bit} of ${nameStoreRow(key).text}`
      const store = storeOf()
      const error = await store.open(rows).then(
        () => null,
        (reason: unknown) => reason as { code: string },
      )
      // Without these two nobody knows how any row is to be read.
      if (key[0] === 0 && (key[1] === 0 || key[1] === 6)) {
        expect(['ERR_DISK_DAMAGED', 'ERR_DISK_NEWER'], about).toContain(error?.code)
        continue
      }
      expect(error, about).toBeNull()
      const found = await shown(store)
      const counted = [...store.damage.counts.values()].reduce((sum, one) => sum + one, 0)
      await store.close()
      const { kind, session } = nameStoreRow(key)
      const allowed = new Set([...before, ...before.map(unsent), ...before.map(unreleased)])
      expect(
        found.filter(line => !allowed.has(line)),
        `${about} shows what was not there`,
      ).toEqual([])
      const isThere = new Set(found.map(unsent))
      const gone = before.filter(line => !isThere.has(unsent(line)))
      expect(gone.length, `${about} takes away ${gone.join(', ')}`).toBeLessThanOrEqual(linesOf[kind]?.(before) ?? 1)
      if (session !== null) expect(new Set(gone.map(line => line.split(' ')[0])).size, `${about} harms others`).toBeLessThanOrEqual(1)
      expect(checkedValue(Buffer.from(now, 'latin1'), flipped.subarray(key.length)), about).toBeNull()
      // What nobody has to read here is named by `check --store`, below: these kinds, and rows under keys that nobody asks for.
      if (now === id && kind !== 'references' && kind !== 'life') expect(counted, `${about} is not named`).toBeGreaterThan(0)
    }
  }
  expect(flips).toBeGreaterThan(2000)
})

test('a page of LMDB that cannot be read fails what asks for it, and is named; others go on', async () => {
  const rows = await filled()
  const bodies = rows.range(Buffer.from([Kind.Body]), Buffer.from([Kind.Body + 1]))
  const { get } = rows
  rows.get = key => {
    if (bodies.some(row => row.key.equals(key))) throw Object.assign(new Error('Requested page not found'), { code: -30_797 })
    return get.call(rows, key)
  }
  const store = storeOf()
  await store.open(rows)
  const { epoch } = await store.sessions.claim({ ...request, clientId: 'd' })
  await expect(Promise.resolve(store.sessions.page({ clientId: 'd', epoch }, 0, 10))).rejects.toThrow('MDB_PAGE_NOTFOUND')
  await expect(Promise.resolve(store.sessions.peek('d', 0, 10))).rejects.toThrow('MDB_PAGE_NOTFOUND')
  expect(store.damage.counts.get('unreadable')).toBeGreaterThan(0)
  expect(store.damage.trouble(new ManualClock().now())).toContain('could not be read')
  const { messages } = await store.retained.match('#').next(10)
  expect(messages.length).toBe(1)
  await store.close()
})

test('a folder that cannot be read at the start is said to be damaged', async () => {
  const rows = await filled()
  rows.range = () => {
    throw Object.assign(new Error('Located page was wrong type'), { code: -30_796 })
  }
  await expect(storeOf().open(rows)).rejects.toMatchObject({ code: 'ERR_DISK_DAMAGED', message: expect.stringContaining('MDB_CORRUPTED') })
})

test('an older folder gets checksums for all of its rows, though its broker is killed meanwhile', async () => {
  const rows = await filled()
  const topics = 20_000
  const store = storeOf()
  await store.open(rows)
  for (let i = 0; i < topics; i++) void store.retained.set(messageOf(`payload ${i}`, { topic: `many/${i}`, retain: true }))
  await store.close()
  // As format 3 had it.
  const older = rows.copy()
  for (const [key, value] of older.values) older.values.set(key, value.subarray(0, value.length - 4))
  older.values.delete('\0\x06')
  older.values.set('\0\0', Buffer.from('mqttx-broker 3'))
  let commits = 0
  older.beforeCommit = () => (++commits > 1 ? new Promise(() => {}) : Promise.resolve())
  void storeOf().open(older)
  await expect.poll(() => commits).toBe(2)
  const killed = older.copy()
  expect(killed.values.get('\0\0')!.toString()).toBe('mqttx-broker 4')
  // What has none although its turn was is damaged, and not taken for one of an older version.
  const [first] = killed.range(Buffer.from([Kind.Retained]), Buffer.from([Kind.Retained + 1]))
  killed.values.set(first!.key.toString('latin1'), first!.value.subarray(0, first!.value.length - 4))
  const again = storeOf()
  await again.open(killed)
  expect(again.retained.size).toBe(topics + 1)
  const found: string[] = []
  for (const cursor = again.retained.match('#'); ; ) {
    const { messages, done } = await cursor.next(1000)
    found.push(...messages.map(({ topic }) => topic))
    if (done) break
  }
  expect(found.length).toBe(topics)
  expect(again.damage.counts).toEqual(new Map([['retained', 1]]))
  await again.close()
  const whole = storeOf()
  await whole.open(killed)
  for (const cursor = whole.retained.match('#'); !(await cursor.next(1000)).done; );
  expect(whole.damage.counts).toEqual(new Map([['retained', 1]]))
  await whole.close()
})

test('a queue whose number is damaged is empty, and no other queue gets what lies in it', async () => {
  const rows = new MemoryRows()
  const queues = async (): Promise<DiskQueues> => {
    const opened = new DiskQueues({ ...diskDefaults, path: '/memory' }, silentLog, new ManualClock())
    await opened.start(rows)
    return opened
  }
  const first = await queues()
  for (const name of ['a', 'b']) first.open(name, 1e6).append(Buffer.from(`of ${name}`))
  await first.stop()
  rows.values.get('\x4eb')![4]! ^= 1
  const second = await queues()
  const [other, b, a] = ['other', 'b', 'a'].map(name => second.open(name, 1e6))
  const inside = [other, b, a].map(queue => queue!.page(0, 10, 1e6).map(({ row }) => row.toString()))
  expect(inside).toEqual([[], [], ['of a']])
  expect([...second.damage.counts]).toEqual([['queue', 1]])
  // A part that is damaged while the queue is open.
  const [part] = rows.range(Buffer.from([0x51]), Buffer.from([0x52]))
  part!.value[3]! ^= 1
  expect(a!.page(0, 10, 1e6)).toEqual([])
  expect([a!.length, a!.bytes]).toEqual([0, 0])
  await second.stop()
})

test('an operator sees a damaged row in the log, by an alarm until it is written anew, in a counter, and by check --store', async () => {
  const folder = await folderWith({
    'mqttx.config.json': JSON.stringify({ preset: 'test', memory: false, socket: { port: 0 }, disk: { path: './data' } }),
  })
  const path = join(folder, 'data')
  const { lines, plugin } = keptLog()
  const start = () => createBroker({ preset: 'test', memory: false, socket: false, log: false, disk: { path }, plugins: [plugin] }).start()
  const first = await start()
  for (const topic of ['a/0', 'a/1', 'a/2']) await first.broker.services.get('retained').set(messageOf('kept', { topic, retain: true }))
  expect((await commandLine(folder, ['check', '--store'])).code).toBe(0)
  await first.stop()
  const database = await Database.open(path)
  const value = database.get(retainedKey('a/1'))!
  value[value.length - 6]! ^= 0x10
  await database.commit([retainedKey('a/1')], [value], 1000)
  await database.close()

  const { code, errors, out } = await commandLine(folder, ['check', '--store'])
  expect(code).toBe(1)
  expect(errors).toEqual([`error: disk: ${path}: damaged: the retained message of a/1 (key ${retainedKey('a/1').toString('hex')})`])
  expect(out.at(-1)).toMatch(/^disk: .*data: \d+ rows \(.*\) were read, 1 of them damaged$/)

  const broker = await start()
  onTestFinished(() => broker.stop())
  const retained = broker.broker.services.get('retained')
  const match = async () => (await retained.match('a/+').next(10)).messages.map(({ topic }) => topic)
  expect(await match()).toEqual(['a/0', 'a/2'])
  expect(await match()).toEqual(['a/0', 'a/2'])
  const said = lines.filter(({ level }) => level === 'error').map(({ message }) => message)
  expect(said).toEqual([expect.stringContaining(`${path} holds a damaged row: the retained message of a/1; it is left out`)])
  const figure = [...broker.broker.figures].find(({ name }) => name === 'store_damaged_rows_total')!
  expect(figure.read()).toEqual([{ value: 1, labels: { plugin: 'disk', kind: 'retained' } }])
  const alarms = alarmsOf(broker.broker)
  const texts = (): string[] => {
    alarms.look()
    return alarms.active.filter(({ name }) => name === 'storeDamaged').map(({ text }) => text)
  }
  expect(texts()).toEqual([`1 row is damaged in ${path}, and left out; check --store says which`])
  await retained.set(messageOf('anew', { topic: 'a/1', retain: true }))
  expect(await match()).toEqual(['a/0', 'a/1', 'a/2'])
  expect(texts()).toEqual([])
})
