import { join } from 'node:path'
import { expect, test } from 'vitest'
import { OperatorError } from '../../core/errors.ts'
import { silentLog } from '../../core/log.ts'
import { DiskQueues } from '../../plugins/disk/disk-queues.ts'
import { Kind, retainedKey } from '../../plugins/disk/keys.ts'
import { folderWith } from '../config/folder.ts'
import { diskDefaults } from '../support/disk.ts'
import { fill, openRows, request, storeOn } from '../support/filled-disk.ts'

// Goal: a row of a newer version is refused by its name, each kind of row, and never guessed at. What rows of older versions say is test/upgrade's.

const newerFormat = 0x80 | 7

/** A folder in which there is a row of each kind; its broker was not stopped in order. */
async function filled(): Promise<string> {
  const path = join(await folderWith(), 'data')
  await fill(storeOn(path))
  return path
}

/** Rows of a kind, or the one single row of that number, get a first byte that is a newer version's. */
async function make(path: string, kind: Kind, to: number, single?: number): Promise<void> {
  const database = await openRows(path)
  const rows = [...database.range(Buffer.from([kind]), Buffer.from([kind + 1]))].filter(
    ({ key }) => single === undefined || key[1] === single,
  )
  expect(rows.length).toBeGreaterThan(0)
  const values = rows.map(({ value }) => {
    value[0] = to
    return value
  })
  await database.commit(
    rows.map(({ key }) => key),
    values,
    10_000,
  )
  await database.close()
}

test.each([
  ['a stored session', Kind.Session, undefined],
  ['a sign of life', Kind.Life, undefined],
  ['a will of a session that ends with its connection', Kind.CleanWill, undefined],
  ['the next free number', Kind.Single, 1],
  ['the number of retained messages', Kind.Single, 2],
  ['the total of all queues', Kind.Single, 3],
  ['the time of the folder', Kind.Single, 4],
] as const)('%s that a newer version has written ends the start', async (what, kind, single) => {
  const path = await filled()
  await make(path, kind, newerFormat, single)
  for (let again = 0; again < 2; again++) {
    const error = await storeOn(path)
      .open()
      .catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(OperatorError)
    expect(error).toMatchObject({
      code: 'ERR_DISK_NEWER',
      message: expect.stringContaining(`${what} was written by a newer version (format 7, this one knows 4)`),
    })
  }
})

test('a session of a newer version whose ending was not finished ends the start', async () => {
  const path = await filled()
  const database = await openRows(path)
  const [row] = database.range(Buffer.from([Kind.Session]), Buffer.from([Kind.Session + 1]), 1)
  row!.key[0] = Kind.Ended
  row!.value[0] = newerFormat
  await database.commit([row!.key], [row!.value], 1000)
  await database.close()
  await expect(storeOn(path).open()).rejects.toMatchObject({ code: 'ERR_DISK_NEWER' })
})

test.each([
  ['a queue entry', Kind.Queue, newerFormat, 4],
  ['a message that waits in several queues', Kind.Body, newerFormat, 4],
] as const)('%s that a newer version has written is refused when it is read', async (what, kind, to, known) => {
  const path = await filled()
  await make(path, kind, to)
  const store = storeOn(path)
  await store.open()
  const refused = {
    code: 'ERR_STORED_FORMAT',
    message: expect.stringContaining(`${what} was written by a newer version (format 7, this one knows ${known})`),
  }
  await expect(Promise.resolve(store.sessions.peek('c', 0, 10))).rejects.toMatchObject(refused)
})

test('a subscription of a newer version ends the start, where all are read', async () => {
  const path = await filled()
  await make(path, Kind.Subscription, newerFormat)
  const store = storeOn(path)
  await store.open()
  expect(() => [...store.sessions.sessions()]).toThrow('a stored subscription was written by a newer version (format 7, this one knows 4)')
})

test('a retained message and a will of a newer version are refused when they are read', async () => {
  const path = await filled()
  await make(path, Kind.Retained, 7)
  await make(path, Kind.Will, 7)
  const store = storeOn(path)
  await store.open()
  await expect(Promise.resolve(store.retained.match('#').next(10))).rejects.toThrow(
    'a stored message was written by a newer version (format 7, this one knows 2)',
  )
})

test('queues of a newer version are refused: their names at the start, their rows where they are opened', async () => {
  const path = join(await folderWith(), 'queue')
  const queues = () => new DiskQueues({ ...diskDefaults, path }, silentLog)
  const first = queues()
  await first.start()
  first.open('q', 1_000_000).append(Buffer.from('row'))
  await first.stop()
  await make(path, 0x51 as Kind, newerFormat)
  const second = queues()
  await second.start()
  expect(() => second.open('q', 1_000_000)).toThrow('a part of a queue was written by a newer version (format 7, this one knows 4)')
  await second.stop()
  await make(path, 0x4e as Kind, newerFormat)
  await expect(queues().start()).rejects.toMatchObject({
    code: 'ERR_DISK_NEWER',
    message: expect.stringContaining('diskQueue.path: '),
  })
})

test('a damaged message is left out of its queues, and a damaged retained message of what a filter matches; all else is there', async () => {
  const path = await filled()
  const database = await openRows(path)
  const bodies = [...database.range(Buffer.from([Kind.Body]), Buffer.from([Kind.Body + 1]))]
  // Behind the count of those who refer to it.
  for (const { value } of bodies) value[5] = 0
  const whole = [...database.range(Buffer.from([Kind.Retained]), Buffer.from([Kind.Retained + 1]))][0]!
  const damaged = Buffer.from(whole.value)
  damaged[1] = 3
  await database.commit([...bodies.map(({ key }) => key), retainedKey('damaged')], [...bodies.map(({ value }) => value), damaged], 10_000)
  await database.close()
  const store = storeOn(path)
  await store.open()
  const dropped: string[] = []
  store.sessions.open(
    { dropped: (clientId, _message, reason) => void dropped.push(`${clientId} ${reason}`), lost: () => {}, appended: () => {} },
    { messagesMax: 1000, bytesMax: 1e6, whenFull: 'dropNewest' },
  )
  const payloads: Record<string, string[]> = {}
  for (const clientId of ['c', 'd']) {
    const { epoch } = await store.sessions.claim({ ...request, clientId })
    const page = await store.sessions.page({ clientId, epoch }, 0, 10)
    payloads[clientId] = page.map(({ message }) => message.payload.toString())
  }
  expect(payloads).toEqual({ c: ['one'], d: [] })
  expect(dropped.length).toBe(4)
  expect(new Set(dropped)).toEqual(new Set(['c storeFailed', 'd storeFailed']))
  const { messages } = await store.retained.match('#').next(10)
  expect(messages.map(({ payload }) => payload.toString())).toEqual(['retained'])
})
