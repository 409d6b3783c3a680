import fc from 'fast-check'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import type { CheckedRows } from '../../plugins/disk/checked-rows.ts'
import { Database } from '../../plugins/disk/database.ts'
import { retainedKey } from '../../plugins/disk/keys.ts'
import { RetainedWalk } from '../../plugins/disk/retained-walk.ts'
import { encodeMessage } from '../../plugins/kit/stored-message.ts'
import { ManualClock } from '../../presets/testing/manual-clock.ts'
import { folderWith } from '../config/folder.ts'
import { messageOf } from '../contracts/suite/sessions-harness.ts'
import { aFilter, naiveMatches, smallTopics } from '../routing/topics.ts'
import { TestDisk } from '../support/disk.ts'

/** A database that counts the rows that are read. */
async function databaseWith(topics: readonly string[]) {
  const path = await folderWith()
  Database.prepare(path)
  const database = await Database.open(path)
  onTestFinished(() => database.close())
  const values = topics.map(topic => encodeMessage(messageOf('x', { topic, retain: true })))
  await database.commit(topics.map(retainedKey), values, values.length * 300)
  let reads = 0
  const counting = {
    *keys(start: Buffer, end: Buffer, limit: number) {
      for (const row of database.keys(start, end, limit)) {
        reads += 1
        yield row
      }
    },
  } as unknown as CheckedRows
  return { database: counting, reads: () => reads }
}

function walk(database: CheckedRows, filter: string, limit = 7): string[] {
  const cursor = new RetainedWalk(database, filter)
  const found: string[] = []
  for (;;) {
    const { rows, done } = cursor.next(limit)
    expect(rows.length).toBeLessThanOrEqual(limit)
    found.push(...rows.map(key => key.toString('utf8', 1).replaceAll('\0', '/')))
    if (done) return found
  }
}

test('finds by any filter exactly what it matches, each once', async () => {
  const { database } = await databaseWith(smallTopics)
  fc.assert(
    fc.property(aFilter, fc.integer({ min: 1, max: 60 }), (filter, limit) => {
      expect(walk(database, filter, limit).sort()).toEqual(smallTopics.filter(topic => naiveMatches(filter, topic)).sort())
    }),
    { numRuns: 300 },
  )
})

test('leaps over what cannot match: a few reads among a hundred thousand topics', async () => {
  const topics = Array.from({ length: 100_000 }, (_, i) => `site/${i % 100}/device/${i}/state`)
  const { database, reads } = await databaseWith([...topics, 'site/50/alarm', 'site/99/alarm', 'other'])
  expect(walk(database, 'site/+/alarm')).toEqual(['site/50/alarm', 'site/99/alarm'])
  expect(reads()).toBeLessThan(1000)
  expect(walk(database, 'site/7/device/10007/+')).toEqual(['site/7/device/10007/state'])
  expect(walk(database, '+')).toEqual(['other'])
  expect(reads()).toBeLessThan(1100)
})

test('topics that end alike beyond what a key can hold are told apart', async () => {
  const long = (end: string) => `${'long/'.repeat(1000)}${end}`
  const topics = [long('a'), long('b'), long('a/b'), `${'x'.repeat(65_534)}1`, `${'x'.repeat(65_534)}2`, 'short']
  const clock = new ManualClock()
  const disk = await new TestDisk(clock).open()
  onTestFinished(() => disk.dispose())
  for (const topic of topics) await disk.store.retained.set(messageOf('x', { topic, retain: true }))
  const found = async (filter: string): Promise<string[]> => {
    const cursor = disk.store.retained.match(filter)
    const all: string[] = []
    for (;;) {
      const { messages, done } = await cursor.next(2)
      all.push(...messages.map(({ topic }) => topic))
      if (done) return all.sort()
    }
  }
  expect(disk.store.retained.size).toBe(6)
  expect(await found('#')).toEqual([...topics].sort())
  for (const topic of topics) expect(await found(topic)).toEqual([topic])
  expect(await found(long('+'))).toEqual([long('a'), long('b')])
  expect(await found(long('#'))).toEqual([long('a'), long('a/b'), long('b')])
  expect(await found(`${'long/'.repeat(999)}+/b`)).toEqual([long('b')])
  expect(await found(`+/${'long/'.repeat(999)}+`)).toEqual([long('a'), long('b')])
})

let clock: ManualClock
let disk: TestDisk
beforeEach(async () => {
  clock = new ManualClock()
  disk = await new TestDisk(clock).open()
  const used = disk
  onTestFinished(() => used.dispose())
})
const set = (topic: string, payload: string, expiry?: number) =>
  disk.store.retained.set(
    messageOf(payload, {
      topic,
      retain: true,
      receivedAt: clock.now(),
      ...(expiry === undefined ? {} : { properties: { messageExpiry: expiry } }),
    }),
  )

test('their number is right whatever is set, cleared and set again in one batch, and over a crash', async () => {
  await set('a', '1')
  void set('a', '')
  void set('a', '2')
  void set('b', '1')
  void set('b', '')
  void set('b', '')
  await set('c', '1')
  expect(disk.store.retained.size).toBe(2)
  await disk.crash()
  expect(disk.store.retained.size).toBe(2)
  await set('a', '')
  expect(disk.store.retained.size).toBe(1)
})

test('one that has expired is removed when it is found, but not the one that was set in its place meanwhile', async () => {
  await set('a', 'old', 10)
  await set('b', 'old', 10)
  clock.advance(10_001)
  const cursor = disk.store.retained.match('+')
  void set('a', 'new')
  const { messages } = await cursor.next(10)
  expect(messages.map(({ payload }) => payload.toString())).toEqual(['new'])
  expect(disk.store.retained.size).toBe(1)
})
