import { chmodSync, linkSync, readdirSync, readFileSync, renameSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { OperatorError } from '../../core/errors.ts'
import { silentLog } from '../../core/log.ts'
import { Database } from '../../plugins/disk/database.ts'
import { DiskStore } from '../../plugins/disk/disk-store.ts'
import { ManualClock } from '../../presets/testing/manual-clock.ts'
import { folderWith } from '../config/folder.ts'
import { messageOf, subscriptionOf } from '../contracts/suite/sessions-harness.ts'
import { diskDefaults } from '../support/disk.ts'

function storeOn(path: string, warnings: string[] = []): DiskStore {
  const warn = (...line: unknown[]): void => void warnings.push(String(line.at(-1)))
  const store = new DiskStore({ ...diskDefaults, path }, new ManualClock(), { ...silentLog, warn })
  onTestFinished(() => store.close())
  return store
}

async function refusal(path: string): Promise<OperatorError> {
  const error = await storeOn(path)
    .open()
    .catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(OperatorError)
  expect((error as OperatorError).message).not.toContain('\n')
  return error as OperatorError
}

const claim = { clientId: 'c', node: 1, user: null, userOnly: false, cleanStart: false, expiryMs: 60_000, will: null }

test('the folder and all that is in it can be read by the owner only', async () => {
  const path = join(await folderWith(), 'deep', 'data')
  const store = storeOn(path)
  await store.open()
  await store.sessions.claim(claim)
  const modes = Object.fromEntries(
    readdirSync(path).map(name => [name.replace(/in-use-\w+/, 'in-use-'), (statSync(join(path, name)).mode & 0o777).toString(8)]),
  )
  expect(modes).toEqual({ 'data.mdb': '600', 'lock.mdb': '600', 'in-use-': '600' })
  expect((statSync(path).mode & 0o777).toString(8)).toBe('700')
})

test('a second broker is refused while the first has the folder, and not a moment longer', async () => {
  const path = await folderWith()
  const first = storeOn(path)
  await first.open()
  expect(await refusal(path)).toMatchObject({
    code: 'ERR_DISK_IN_USE',
    message: expect.stringMatching(/^disk\.path: another broker uses .*; stop it/),
  })
  // The one that was refused took nothing from the first.
  expect(await refusal(path)).toMatchObject({ code: 'ERR_DISK_IN_USE' })
  await first.close()
  await storeOn(path).open()
})

test('of many that start at once on a folder where one was killed, one gets it', async () => {
  const path = await folderWith()
  // What a killed one leaves: a socket on which nobody listens.
  const killed = storeOn(path)
  await killed.open()
  const socket = readdirSync(path).find(name => name.startsWith('in-use-'))!
  linkSync(join(path, socket), join(path, 'kept'))
  await killed.close()
  renameSync(join(path, 'kept'), join(path, socket))
  const results = await Promise.allSettled(Array.from({ length: 8 }, () => storeOn(path).open()))
  const refused = results.flatMap(result => (result.status === 'rejected' ? [result.reason.code] : []))
  expect(refused).toEqual(Array(7).fill('ERR_DISK_IN_USE'))
})

test('a path longer than the address of a socket will do', async () => {
  const path = join(await folderWith(), 'long'.repeat(50), 'longer'.repeat(30))
  const store = storeOn(path)
  await store.open()
  expect(await refusal(path)).toMatchObject({ code: 'ERR_DISK_IN_USE' })
})

test('a path that is a file is one line', async () => {
  const folder = await folderWith({ data: 'text' })
  expect(await refusal(join(folder, 'data'))).toMatchObject({
    code: 'ERR_DISK_UNUSABLE',
    message: expect.stringContaining('is not a folder'),
  })
})

test("another program's database is left alone", async () => {
  const path = await folderWith()
  Database.prepare(path)
  const other = await Database.open(path)
  await other.commit([Buffer.from('theirs')], [Buffer.from('x')], 100)
  await other.close()
  const before = readFileSync(join(path, 'data.mdb'))
  expect(await refusal(path)).toMatchObject({ code: 'ERR_DISK_FOREIGN', message: expect.stringContaining("another program's database") })
  expect(readFileSync(join(path, 'data.mdb')).equals(before)).toBe(true)
})

test('a folder of a newer version is not guessed at', async () => {
  const path = await folderWith()
  const store = storeOn(path)
  await store.open()
  await store.close()
  const database = await Database.open(path)
  await database.commit([Buffer.from([0, 0])], [Buffer.from('mqttx-broker 9')], 100)
  await database.close()
  expect(await refusal(path)).toMatchObject({
    code: 'ERR_DISK_NEWER',
    message: expect.stringMatching(
      /was written by a newer version \(format 9, this one knows 4\); start the newer version again, or name another folder$/,
    ),
  })
})

test('a file that is no database is left as it is', async () => {
  const path = await folderWith({ 'data.mdb': 'my own notes' })
  expect(await refusal(path)).toMatchObject({ code: 'ERR_DISK_DAMAGED' })
  expect(readFileSync(join(path, 'data.mdb'), 'utf8')).toBe('my own notes')
})

test('a folder of somebody else is one line', async () => {
  const path = await folderWith()
  chmodSync(path, 0o500)
  onTestFinished(() => chmodSync(path, 0o700))
  // Nothing is forbidden to root, so root becomes nobody for a moment; this file has a process of its own.
  if (process.getuid?.() === 0) {
    process.seteuid!(65_534)
    onTestFinished(() => process.seteuid!(0))
  }
  expect(await refusal(path)).toMatchObject({
    code: 'ERR_DISK_UNUSABLE',
    message: expect.stringContaining('give it to that user (chown -R)'),
  })
  // One that is yet to be made: what is in the way is the folder above.
  const { message } = await refusal(join(path, 'new'))
  expect(message).toMatch(/^disk\.path: \S+new is not there, .*cannot be made: (\S+) may not be read and written by this user \(uid \d+\)/)
  expect(message).toContain(`cannot be made: ${path} `)
})

/** A store in which something was kept, closed again; `forget` is in its last commit. */
async function filled(): Promise<string> {
  const path = await folderWith()
  const store = storeOn(path)
  await store.open()
  const session = { clientId: 'c', ...(await store.sessions.claim(claim)) }
  await store.sessions.subscribe(session, [subscriptionOf('a')])
  const target = { clientId: 'c', qos: 1, retain: false, identifiers: null, group: null, packetId: 0, epoch: 0 } as const
  for (const payload of ['first', 'second', 'third']) await store.sessions.append(messageOf(payload), [target], null)
  await store.sessions.close(session, 60_000, false)
  await store.close()
  return path
}

async function kept(path: string, warnings: string[] = []): Promise<string[]> {
  const store = storeOn(path, warnings)
  await store.open()
  const session = { clientId: 'c', ...(await store.sessions.claim(claim)) }
  expect(session.present).toBe(true)
  const entries = await store.sessions.page(session, 0, 100)
  await store.sessions.close(session, 60_000, false)
  await store.close()
  return entries.map(({ message }) => message.payload.toString())
}

/** Where the two pages that begin the file say which commit they are of. */
function metaPages(path: string): { newer: number; older: number } {
  const bytes = readFileSync(join(path, 'data.mdb'))
  const commits = [0, 4096].map(at => bytes.readBigUInt64LE(at + 152))
  return commits[0]! > commits[1]! ? { newer: 0, older: 4096 } : { newer: 4096, older: 0 }
}

function overwrite(path: string, at: number, length: number): void {
  const file = join(path, 'data.mdb')
  const bytes = readFileSync(file)
  bytes.fill(0xa5, at, at + length)
  writeFileSync(file, bytes)
}

test.each(['newer', 'older'] as const)(
  'a torn %s page of the two that name the last commits is made good by the other, and said',
  async which => {
    const path = await filled()
    overwrite(path, metaPages(path)[which], 200)
    const warnings: string[] = []
    expect(await kept(path, warnings)).toEqual(['first', 'second', 'third'])
    expect(warnings).toEqual([expect.stringMatching(/^disk: the last write to .* was torn; taken up at the one before it \(commit \d+\)$/)])
    // And once it is good, it is good.
    const again: string[] = []
    expect(await kept(path, again)).toEqual(['first', 'second', 'third'])
    expect(again).toEqual([])
  },
)

test('rubbish behind what was kept is nothing', async () => {
  const path = await filled()
  const file = join(path, 'data.mdb')
  writeFileSync(file, Buffer.concat([readFileSync(file), Buffer.alloc(5000, 0xa5)]))
  expect(await kept(path)).toEqual(['first', 'second', 'third'])
  // The room that is kept ahead of LMDB is as good as behind it.
  truncateSync(file, statSync(file).size - 300_000)
  expect(await kept(path)).toEqual(['first', 'second', 'third'])
})

test('a file that was cut short is one line, and not touched', async () => {
  const path = await filled()
  truncateSync(join(path, 'data.mdb'), 8192)
  expect(await refusal(path)).toMatchObject({ code: 'ERR_DISK_DAMAGED', message: expect.stringContaining('has been cut short') })
  expect(statSync(join(path, 'data.mdb')).size).toBe(8192)
  expect(readdirSync(path).sort()).toEqual(['data.mdb', 'lock.mdb'])
})
