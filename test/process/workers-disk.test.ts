import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { partOf } from '../../plugins/kit/text-hash.ts'
import { beforeAllBuilt } from '../config/built.ts'
import { commandLine } from '../config/command-line.ts'
import { WorkersBroker } from './workers-broker.ts'

// Goal: what several workers have acknowledged lies on the disk, in the part of one of them, and is there again whoever of them was killed.

const built = beforeAllBuilt()
const durable = { cleanStart: false, properties: { sessionExpiry: 1000 } }
const args = ['--preset', 'standalone', '--set', 'workers=2', '--set', 'allowAnonymous=true', '--set', 'log.level=info']
let broker: WorkersBroker

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mqttx-parts-'))
  await writeFile(
    join(folder, 'mqttx.config.json'),
    JSON.stringify({ checkConfigEvery: null, cluster: { heartbeat: '100ms', expiry: '1s' } }),
  )
  broker = await WorkersBroker.start(built.path('presets/bin.js'), folder, args)
}, 60_000)

afterAll(async () => {
  await broker?.stop()
  if (broker !== undefined) await rm(broker.folder, { recursive: true, force: true })
})

/** A client id whose session lies in the part of that worker. */
function idAt(worker: 1 | 2, name: string): string {
  for (let i = 0; ; i++) if (partOf(`${name}-${i}`, 2) === worker) return `${name}-${i}`
}

test('the worker is killed that keeps a session: its client stays connected to another one, and gets what was published meanwhile, once', async () => {
  const subscriber = await broker.connectAt('1', { clientId: idAt(2, 'stays'), ...durable })
  await subscriber.subscribe('stays/#', 2)
  const publisher = await broker.connectAt('1', { clientId: idAt(1, 'publisher'), ...durable })
  await publisher.publish('stays/before', 'before', { qos: 2 })
  expect((await subscriber.receive()).payload.toString()).toBe('before')
  const from = broker.lines.length
  process.kill((await broker.workers()).get('2')!, 'SIGKILL')
  await broker.line(/worker 2 has ended \(signal SIGKILL\) and is started again/, from)
  // They wait until the part is there again, and are acknowledged then.
  const published = [publisher.publish('stays/1', 'one', { qos: 1 }), publisher.publish('stays/2', 'two', { qos: 2 })]
  expect([(await subscriber.receive()).payload, (await subscriber.receive()).payload].map(String).sort()).toEqual(['one', 'two'])
  await Promise.all(published)
  await broker.line(/worker 2 serves again/, from)
  await publisher.publish('stays/after', 'after', { qos: 1 })
  expect((await subscriber.receive()).payload.toString()).toBe('after')
  expect(subscriber.isClosed).toBe(false)
})

test('all are killed: sessions, what waits in them, wills and retained messages are there again, whichever worker a client comes to', async () => {
  const watcher = await broker.connect({ clientId: 'watcher', ...durable })
  await watcher.subscribe('will', 1)
  watcher.drop()
  for (const worker of [1, 2] as const) {
    const away = await broker.connect({ clientId: idAt(worker, 'away'), ...durable })
    await away.subscribe('away', 2)
    away.disconnect()
    await away.closed
  }
  const publisher = await broker.connectAt('2', {
    clientId: 'killed',
    will: { topic: 'will', payload: Buffer.from('of the killed'), qos: 1 },
  })
  for (const qos of [1, 2] as const) await publisher.publish('away', `at ${qos}`, { qos })
  await publisher.publish('kept', 'retained', { qos: 1, retain: true })
  broker.signal('SIGKILL')
  await broker.ended
  await broker.isFree()
  broker = await WorkersBroker.start(built.path('presets/bin.js'), broker.folder, args)
  for (const worker of [1, 2] as const) {
    for (const at of ['1', '2']) {
      const away = await broker.connectAt(at, { clientId: idAt(worker, 'away'), ...durable })
      if (at === '1') expect([(await away.receive()).payload, (await away.receive()).payload].map(String).sort()).toEqual(['at 1', 'at 2'])
      await away.subscribe('kept', 1)
      expect((await away.receive()).payload.toString()).toBe('retained')
      away.drop()
      await away.closed
    }
  }
  const again = await broker.connect({ clientId: 'watcher', ...durable })
  expect((await again.receive()).payload.toString()).toBe('of the killed')
})

test('another number of workers is refused with the command that moves what is there, and that command moves it', async () => {
  const away = await broker.connect({ clientId: 'moves', ...durable })
  await away.subscribe('moves', 1)
  away.disconnect()
  await away.closed
  const publisher = await broker.connect({ clientId: 'mover' })
  await publisher.publish('moves', 'waits', { qos: 1 })
  await broker.stop()
  const { folder } = broker
  const three = ['--preset', 'standalone', '--set', 'workers=3', '--set', 'allowAnonymous=true']
  await expect(WorkersBroker.start(built.path('presets/bin.js'), folder, three)).rejects.toThrow(
    /is that of a broker with workers: 2, and this one has 3.*migrate --from disk:.* --to 'disk:.*-3\?workers=3'/,
  )
  const data = join(folder, 'data')
  const moved = await commandLine(folder, ['migrate', '--from', `disk:${data}`, '--to', `disk:${data}-3?workers=3`])
  expect([moved.code, moved.errors.join()]).toEqual([0, ''])
  broker = await WorkersBroker.start(built.path('presets/bin.js'), folder, [...three, '--set', `disk.path=${data}-3`])
  const again = broker.open()
  expect(await again.connect({ version: 5, clientId: 'moves', ...durable })).toMatchObject({ sessionPresent: true })
  expect((await again.receive()).payload.toString()).toBe('waits')
})
