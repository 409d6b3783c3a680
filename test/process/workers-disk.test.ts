import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { partOf } from '../../plugins/kit/text-hash.ts'
import { typed } from '../admin/typed.ts'
import { beforeAllBuilt } from '../config/built.ts'
import { commandLine } from '../config/command-line.ts'
import type { TestClient } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
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
    JSON.stringify({ checkConfigEvery: null, cluster: { heartbeat: '100ms', expiry: '1s' }, admin: { payloads: true } }),
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

test('a backup has the parts of all workers, and all that was acknowledged before its moment; compact gives back what is free in each, and they go on', async () => {
  const ids = [idAt(1, 'backup'), idAt(2, 'backup')]
  for (const clientId of ids) {
    const away = await broker.connect({ clientId, ...durable })
    away.disconnect()
    await away.closed
    // By the first worker, though the session lies in the part of the second; as soon as it has heard that the client has gone.
    await eventually(async () => (await broker.ask(`subscribe ${clientId} backup --qos 2`)).stored === true)
  }
  // From each worker to the parts of both: at QoS 2 that takes two steps.
  const publishers: TestClient[] = []
  for (const worker of ['1', '2'])
    for (const qos of [1, 2]) publishers.push(await broker.connectAt(worker, { clientId: `from-${worker}-${qos}` }))
  const acknowledged = new Map<string, number>()
  let stops = false
  const publishing = publishers.map(async (publisher, i) => {
    for (let n = 0; !stops; n++) {
      const text = `${i} ${n}`
      await publisher.publish('backup', text, { qos: i % 2 === 0 ? 1 : 2 })
      acknowledged.set(text, Date.now())
    }
  })
  const until = async (count: number): Promise<void> => {
    while (acknowledged.size < count) await new Promise(resolve => setImmediate(resolve))
  }
  await until(200)
  const { upTo, rows } = (await broker.ask('backup copy')) as { upTo: string; rows: { folder: string }[] }
  expect(rows.map(row => row.folder)).toEqual(['disk/workers-2/1', 'disk/workers-2/2'])
  const { rows: compacted } = (await broker.ask('compact')) as { rows: { folder: string }[] }
  expect(compacted.map(row => row.folder.slice(broker.folder.length))).toEqual(['/data/workers-2/1', '/data/workers-2/2'])
  await until(acknowledged.size + 50)
  stops = true
  await Promise.all(publishing)

  // What the first worker keeps is read by the second one, which had its file open from before.
  await publishers[0]!.publish('after', 'compacted', { qos: 1, retain: true })
  await publishers[2]!.subscribe('after', 1)
  expect((await publishers[2]!.receive()).payload.toString()).toBe('compacted')

  const { folder } = broker
  expect((await typed('restore copy --to there', { folder })).code).toBe(0)
  const before = [...acknowledged].filter(([, at]) => at < Date.parse(upTo)).map(([text]) => text)
  expect(before.length).toBeGreaterThanOrEqual(100)
  for (const [store, wanted] of [
    ['disk:there', before],
    [null, [...acknowledged.keys()]],
  ] as const) {
    const queues = await queuesIn(folder, store)
    for (const id of ids) {
      const queued = queues.get(id)!
      expect(wanted.filter(text => !queued.includes(text))).toEqual([])
      expect(new Set(queued).size).toBe(queued.length)
    }
  }
})

/** What waits for each client id in a store, or in that of the running broker. */
async function queuesIn(folder: string, store: string | null): Promise<Map<string, string[]>> {
  const queues = new Map<string, string[]>()
  const from = store === null ? ['--socket', 'admin.sock'] : ['--from', store]
  const { text } = await typed(['export', ...from], { folder })
  for (const line of text.split('\n')) {
    const { session, queued } = JSON.parse(line) as { session?: { clientId: string }; queued?: { message: { payload: string } } }
    if (session !== undefined) queues.set(session.clientId, [])
    if (queued !== undefined) [...queues.values()].at(-1)!.push(Buffer.from(queued.message.payload, 'base64').toString())
  }
  return queues
}

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
