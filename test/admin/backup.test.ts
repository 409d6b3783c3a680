import { copyFileSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { silentLog } from '../../core/log.ts'
import { PacketType } from '../../core/protocol/constants.ts'
import { DiskQueues } from '../../plugins/disk/disk-queues.ts'
import { beforeAllBuilt } from '../config/built.ts'
import { folderWith } from '../config/folder.ts'
import { FaultBroker } from '../fault/fault-broker.ts'
import { startBroker } from '../support/broker.ts'
import { TestClient } from '../support/client.ts'
import { typed } from './typed.ts'

// Goal: a backup that a broker makes while it serves holds all that it had acknowledged before, and is restored elsewhere; a folder that is compacted is smaller and holds all;
// whoever is killed in between has a good store.

const { Puback } = PacketType
const built = beforeAllBuilt()
const durable = { version: 5, cleanStart: false, properties: { sessionExpiry: 0xff_ff_ff_ff } } as const

/** A broker whose folders are in a folder of its own. */
async function startOnDisk(folder: string) {
  const socket = join(folder, 'admin.sock')
  const kit = await startBroker({
    memory: false,
    disk: { path: join(folder, 'data') },
    diskQueue: { path: join(folder, 'queue') },
    admin: { socket },
  })
  return { ...kit, type: (...line: string[]) => typed([...line, '--socket', socket], { folder }) }
}

const sizeOf = (folder: string): number => statSync(join(folder, 'data', 'data.mdb')).size

/** The payloads in an export, of sessions' queues. */
async function queuedIn(folder: string, store: string): Promise<Set<number>> {
  const { text, errors, code } = await typed(['export', '--from', store], { folder })
  expect([code, errors.replaceAll(/warning: the broker was not stopped in order.*\n?/g, '')]).toEqual([0, ''])
  const found = new Set<number>()
  for (const line of text.split('\n')) {
    const { queued } = JSON.parse(line) as { queued?: { message: { payload: string } } }
    if (queued !== undefined) found.add(Number(Buffer.from(queued.message.payload, 'base64').toString()))
  }
  return found
}

test('nothing that was acknowledged before the moment that a backup says is missing in it, nor in the store of a broker that is killed while it compacts', async () => {
  const folder = await folderWith({
    'mqttx.config.json': JSON.stringify({ preset: 'standalone', diskQueue: {}, admin: { socket: './admin.sock' } }),
  })
  const broker = await FaultBroker.start(built.path('presets/bin.js'), folder, ['--host', '127.0.0.1'])
  const open = (): TestClient => new TestClient(connect({ port: broker.port, host: '127.0.0.1', noDelay: true }), 5)
  const keeper = open()
  await keeper.connect({ ...durable, clientId: 'keeper' })
  await keeper.subscribe('d/#', 1)
  keeper.disconnect()
  await keeper.closed
  const publisher = open()
  await publisher.connect({ version: 5, clientId: 'publisher' })
  // When each was acknowledged, by the clock that the broker has, too.
  const acknowledged = new Map<number, number>()
  let stops = false
  const publishing = (async () => {
    for (let n = 0; !stops || n < 200; n += 20) {
      for (let i = 0; i < 20; i++) publisher.sendPublish('d/x', String(n + i), { qos: 1 })
      for (let i = 0; i < 20; i++) {
        await publisher.next(Puback)
        acknowledged.set(n + i, Date.now())
      }
    }
  })()
  const until = async (count: number): Promise<void> => {
    while (acknowledged.size < count) await new Promise(resolve => setImmediate(resolve))
  }
  await until(400)
  const backup = await typed('backup copy --json --socket admin.sock', { folder })
  expect([backup.code, backup.errors]).toEqual([0, ''])
  const { upTo } = backup.json as { upTo: string }
  const madeAt = acknowledged.size
  await until(madeAt + 400)
  stops = true
  await publishing

  const restored = await typed('restore copy --to there --queueTo there-queue --json', { folder })
  expect([restored.errors, restored.json]).toEqual(['', expect.objectContaining({ upTo, sessions: 1 })])
  const there = await queuedIn(folder, 'disk:there')
  const before = [...acknowledged].filter(([, at]) => at < Date.parse(upTo)).map(([n]) => n)
  expect(before.length).toBeGreaterThanOrEqual(200)
  expect(before.filter(n => !there.has(n))).toEqual([])
  // It was made while messages came: those that came later are not in it.
  expect(there.size).toBeLessThan(acknowledged.size)

  const compacting = typed('compact --socket admin.sock', { folder }).catch(() => {})
  await new Promise(resolve => setImmediate(resolve))
  await broker.kill()
  await compacting
  publisher.drop()
  const left = await queuedIn(folder, 'disk:data')
  expect([...acknowledged.keys()].filter(n => !left.has(n))).toEqual([])
  expect(readdirSync(join(folder, 'data')).filter(name => name.startsWith('compacting'))).toEqual([])
}, 60_000)

test('compact gives back what is free, keeps what is there and what comes meanwhile, and goes on in the folder', async () => {
  const folder = await folderWith()
  const first = await startOnDisk(folder)
  const client = await first.connect({ ...durable, clientId: 'c' })
  for (let i = 0; i < 2000; i++) client.sendPublish(`r/${i}`, Buffer.alloc(2000, i), { qos: 1, retain: true })
  for (let i = 0; i < 2000; i++) await client.next(Puback)
  for (let i = 10; i < 2000; i++) client.sendPublish(`r/${i}`, '', { qos: 1, retain: true })
  for (let i = 10; i < 2000; i++) await client.next(Puback)
  const before = sizeOf(folder)
  const compacting = first.type('compact', '--json')
  const meanwhile = client.publish('meanwhile', 'kept', { qos: 1, retain: true })
  const { errors, json } = await compacting
  await meanwhile
  expect(errors).toBe('')
  expect(json.rows).toMatchObject([{ plugin: 'diskQueue' }, { plugin: 'disk', folder: join(folder, 'data'), beforeBytes: before }])
  const [, row] = json.rows as { afterBytes: number }[]
  expect(row!.afterBytes).toBeLessThan(before / 4)
  expect(sizeOf(folder)).toBeLessThan(before / 2)
  // The file is another one; all goes on.
  await client.publish('after', 'kept', { qos: 1, retain: true })
  expect((await first.broker.inspect('retained')).retained).toBe(12)
  expect((await first.type('compact')).code).toBe(0)
  await first.running.stop()

  const again = await startOnDisk(folder)
  const reader = await again.connect({ version: 5, clientId: 'reader', cleanStart: true })
  await reader.subscribe('#', 0)
  const topics = []
  for (let i = 0; i < 12; i++) topics.push((await reader.message()).topic)
  expect(topics.sort()).toEqual(['after', 'meanwhile', ...Array.from({ length: 10 }, (_, i) => `r/${i}`)].sort())
  await again.running.stop()
  // Stopped, its folder is compacted by the command alone.
  expect((await typed('compact --folder data --json', { folder })).json).toMatchObject({ rows: [{ folder: join(folder, 'data') }] })
  expect(await typed('compact --folder nothing', { folder })).toMatchObject({ code: 1 })
})

test('what a killed broker leaves of a compaction harms nothing: half a copy, or the copy in place with the lock of the file before it', async () => {
  const folder = await folderWith()
  const first = await startOnDisk(folder)
  const client = await first.connect({ ...durable, clientId: 'c' })
  await client.publish('kept', 'x', { qos: 1, retain: true })
  expect((await first.type('backup', 'copy')).code).toBe(0)
  await first.running.stop()
  const data = join(folder, 'data')
  mkdirSync(join(data, 'compacting-1-1'))
  writeFileSync(join(data, 'compacting-1-1', 'data.mdb'), Buffer.alloc(5000, 1))
  copyFileSync(join(folder, 'copy', 'disk', 'data.mdb'), join(data, 'data.mdb'))
  const again = await startOnDisk(folder)
  expect((await again.broker.inspect('retained')).rows.map(({ topic }) => topic)).toEqual(['kept'])
  expect(readdirSync(data).filter(name => name.startsWith('compacting'))).toEqual([])
})

test('a backup has the queues of bridges, too; it is restored by config, and only where nothing is', async () => {
  const folder = await folderWith({
    'mqttx.config.json': JSON.stringify({ preset: 'standalone', disk: { path: 'new/data' }, diskQueue: { path: 'new/queue' } }),
  })
  const { type, broker, connect: join_ } = await startOnDisk(folder)
  const queue = broker.services.get('queue').open('bridge', 1_000_000)
  for (let i = 0; i < 5; i++) queue.append(Buffer.from(`row ${i}`))
  await queue.kept()
  const client = await join_({ ...durable, clientId: 'c' })
  await client.publish('kept', 'x', { qos: 1, retain: true })
  const made = await type('backup', 'monday')
  expect([made.code, made.text]).toEqual([0, expect.stringMatching(/upTo +20\d\d-.*Z\n/)])
  // Not over another one, nor where something else lies.
  expect(await type('backup', 'monday')).toMatchObject({ code: 1, errors: expect.stringContaining('is not empty') })
  expect((await broker.inspect('audit')).rows.map(({ verb }) => verb)).toEqual(['backup', 'backup'])

  const restore = (line: string) => typed(`restore monday ${line}`, { folder })
  expect(await restore('--to elsewhere')).toMatchObject({
    code: 1,
    errors: expect.stringContaining('say where diskQueue of this backup goes'),
  })
  expect(await restore(`--to data --queueTo q`)).toMatchObject({ code: 1, errors: expect.stringContaining('another broker uses') })
  await mkdir(join(folder, 'full'))
  await writeFile(join(folder, 'full', 'note.txt'), '')
  expect(await restore('--to full --queueTo q')).toMatchObject({ code: 1, errors: expect.stringContaining('is not empty (note.txt)') })
  expect((await restore('--config mqttx.config.json --json')).json).toMatchObject({ sessions: 1, retained: 1, waiting: 5 })
  const queues = new DiskQueues({ path: join(folder, 'new', 'queue'), pendingBytesMax: 1_000_000, reserve: 0 }, silentLog)
  await queues.start()
  expect(
    queues
      .open('bridge', 1_000_000)
      .page(0, 10, 1000)
      .map(({ row }) => row.toString()),
  ).toEqual(['row 0', 'row 1', 'row 2', 'row 3', 'row 4'])
  await queues.stop()

  // A byte that is another one is found before anything is written.
  const file = join(folder, 'monday', 'disk', 'data.mdb')
  const bytes = await readFile(file)
  bytes[bytes.length - 100] = bytes[bytes.length - 100]! ^ 1
  await writeFile(file, bytes)
  expect(await restore('--to once --queueTo once-q')).toMatchObject({
    code: 1,
    errors: expect.stringContaining('is not what was backed up'),
  })
  expect(await typed('restore data --to x', { folder })).toMatchObject({
    code: 1,
    errors: expect.stringContaining('backup.json is missing'),
  })
})
