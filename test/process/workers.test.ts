import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { fnv1a } from '../../plugins/kit/text-hash.ts'
import { typed } from '../admin/typed.ts'
import { beforeAllBuilt } from '../config/built.ts'
import { commandLine } from '../config/command-line.ts'
import { folderWith } from '../config/folder.ts'
import { WorkersBroker } from './workers-broker.ts'

const built = beforeAllBuilt()
let broker: WorkersBroker
const args = ['--preset', 'test', '--set', 'workers=2', '--set', 'admin.enable=true', '--set', 'metrics.port=0']
const rules = (topics: readonly string[]) => ({ rules: [{ allow: 'all', topics }] })
const config = (more: object) =>
  JSON.stringify({ checkConfigEvery: null, topicSecurity: rules(['#']), cluster: { heartbeat: '100ms', expiry: '1s' }, ...more })

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mqttx-workers-'))
  await writeFile(join(folder, 'mqttx.config.json'), config({}))
  broker = await WorkersBroker.start(built.path('presets/bin.js'), folder, args)
}, 60_000)

afterAll(async () => {
  await broker?.stop()
  if (broker !== undefined) await rm(broker.folder, { recursive: true, force: true })
})

/** A subscriber at one worker and a publisher at the other. */
async function pair(name: string, options: object = {}) {
  const subscriber = await broker.connectAt('1', { clientId: `${name}-subscriber`, ...options })
  const publisher = await broker.connectAt('2', { clientId: `${name}-publisher` })
  return { subscriber, publisher }
}

test('messages of every QoS pass from one worker to another, and so do retained ones', async () => {
  const { subscriber, publisher } = await pair('pass')
  await subscriber.subscribe('pass/#', 2)
  for (const qos of [0, 1, 2] as const) {
    await publisher.publish(`pass/${qos}`, `at ${qos}`, { qos })
    expect(await subscriber.receive()).toMatchObject({ topic: `pass/${qos}`, qos })
  }
  await publisher.publish('kept', 'retained', { qos: 1, retain: true })
  await subscriber.subscribe('kept', 1)
  expect(await subscriber.receive()).toMatchObject({ topic: 'kept', retain: true })
})

test('connections are shared out evenly, and each comes to one worker', async () => {
  const clients = await Promise.all(Array.from({ length: 20 }, (_, i) => broker.connect({ clientId: `even-${i}` })))
  const { rows } = (await broker.ask('clients --match even-')) as { rows: { node: string }[] }
  const first = rows.filter(({ node }) => node === '1/1').length
  expect(rows).toHaveLength(20)
  // The system shares out by chance; the supervisor, in turn.
  expect(first).toBeGreaterThan(1)
  expect(first).toBeLessThan(19)
  for (const client of clients) client.disconnect()
})

test('a client that connects at another worker takes its session over, with what waits in it', async () => {
  const durable = { clientId: 'moves', cleanStart: false, properties: { sessionExpiry: 1000 } }
  const first = await broker.connectAt('1', durable)
  await first.subscribe('moves/#', 1)
  const second = await broker.connectAt('2', { ...durable, clientId: 'other' })
  const { properties, ...given } = durable
  let next = broker.open()
  let connack = await next.connect({ version: 5, properties, ...given })
  expect(connack.sessionPresent).toBe(true)
  expect(await first.ended()).toMatchObject({ reasonCode: 0x8e })
  next.drop()
  await second.publish('moves/a', 'waits', { qos: 1 })
  next = broker.open()
  connack = await next.connect({ version: 5, properties, ...given })
  expect(connack.sessionPresent).toBe(true)
  expect((await next.receive()).payload.toString()).toBe('waits')
})

test('members of a shared group at different workers get each message once', async () => {
  const one = await broker.connectAt('1', { clientId: 'group-1' })
  const two = await broker.connectAt('2', { clientId: 'group-2' })
  for (const member of [one, two]) await member.subscribe('$share/g/shared', 1)
  const publisher = await broker.connect({ clientId: 'group-publisher' })
  for (let i = 0; i < 6; i++) await publisher.publish('shared', String(i), { qos: 1 })
  const got: string[] = []
  while (got.length < 6) got.push(...(await one.payloads()), ...(await two.payloads()))
  expect(await Promise.all([one.payloads(), two.payloads()])).toEqual([[], []])
  expect(got.sort()).toEqual(['0', '1', '2', '3', '4', '5'])
})

test('/metrics has the figures of all workers, whichever of them is asked', async () => {
  const [, url] = await broker.line(/metrics at (http:[^" ]+)/)
  for (let i = 0; i < 3; i++) {
    const text = await (await fetch(url!, { headers: { Connection: 'close' } })).text()
    expect(text).toContain('\nmqttx_workers 2\n')
    for (const worker of [1, 2]) expect(text).toMatch(new RegExp(`^mqttx_received_packets_total\\{worker="${worker}"\\} [1-9]`, 'm'))
    expect(text.match(/^# TYPE mqttx_received_packets_total /gm)).toHaveLength(1)
  }
})

test('trace shows the packets of a client whichever worker it is connected to', async () => {
  const client = await broker.connectAt('2', { clientId: 'traced' })
  const pieces = typed('trace traced --for 60s --limit 3 --json', { env: { MQTTX_SOCKET: join(broker.folder, 'admin.sock') } })
  let isOver = false
  void pieces.finally(() => void (isOver = true))
  while (!isOver) await client.publish('traced/a', 'x', { qos: 1 })
  const ways = (await pieces).text.split('\n').map(line => JSON.parse(line) as { way: string; node: string })
  expect(ways.map(({ way, node }) => `${way} ${node.split('/').at(-1)}`)).toEqual(['open 2', 'in 2', 'out 2'])
})

test('SIGHUP has all workers read the config again, and one of them says so', async () => {
  const { subscriber, publisher } = await pair('reload')
  const from = broker.lines.length
  await writeFile(join(broker.folder, 'mqttx.config.json'), config({ topicSecurity: rules(['other/#']) }))
  broker.signal('SIGHUP')
  await broker.line(/in force now: topicSecurity\.rules/, from)
  while ((await publisher.publish('reload/a', '', { qos: 1 }))?.reasonCode !== 0x87) await new Promise(setImmediate)
  expect(await subscriber.subscribe('reload/a', 1)).toEqual([0x87])
  await writeFile(join(broker.folder, 'mqttx.config.json'), config({}))
  expect(await broker.ask('reload')).toMatchObject({ taken: ['topicSecurity.rules'] })
  while ((await publisher.publish('reload/a', '', { qos: 1 }))?.reasonCode === 0x87) await new Promise(setImmediate)
  expect(await subscriber.subscribe('reload/a', 1)).toEqual([1])
  expect(broker.lines.slice(from).filter(line => line.includes('in force now'))).toHaveLength(2)
})

/** A client id whose session lies in the part of that worker. */
function idAt(worker: 1 | 2, name: string): string {
  for (let i = 0; ; i++) if (fnv1a(`${name}-${i}`) % 2 === worker - 1) return `${name}-${i}`
}

test('a worker that is killed is started again; wills of its clients are sent, and sessions go on: those of its clients, and the open ones of its part', async () => {
  const watcher = await broker.connectAt('1', { clientId: 'watcher' })
  await watcher.subscribe('will/#', 1)
  const durable = { cleanStart: false, properties: { sessionExpiry: 1000 } }
  const will = { topic: 'will/clean', payload: Buffer.from('killed'), qos: 1 as const }
  const clean = await broker.connectAt('2', { clientId: 'dies-clean', will })
  const keptId = idAt(1, 'dies-kept')
  const open = await broker.connectAt('1', { clientId: idAt(2, 'open'), ...durable })
  await open.subscribe('goes-on', 1)
  const kept = await broker.connectAt('2', { clientId: keptId, ...durable, will: { ...will, topic: 'will/kept' } })
  await kept.subscribe('goes-on', 1)
  const from = broker.lines.length
  process.kill((await broker.workers()).get('2')!, 'SIGKILL')
  await Promise.all([clean.closed, kept.closed])
  await broker.line(/worker 2 has ended \(signal SIGKILL\) and is started again/, from)
  const topics = [await watcher.receive(), await watcher.receive()].map(({ topic }) => topic)
  expect(topics.sort()).toEqual(['will/clean', 'will/kept'])
  // It waits until the part is there again that keeps one of the sessions.
  await watcher.publish('goes-on', 'meanwhile', { qos: 1 })
  expect((await open.receive()).payload.toString()).toBe('meanwhile')
  await broker.line(/worker 2 serves again/, from)
  const again = broker.open()
  expect(await again.connect({ version: 5, clientId: keptId, ...durable })).toMatchObject({ sessionPresent: true })
  expect((await again.receive()).payload.toString()).toBe('meanwhile')
  // Both serve.
  const back = await broker.connectAt('2', { clientId: 'back' })
  await back.publish('goes-on', 'again', { qos: 1 })
  expect((await again.receive()).payload.toString()).toBe('again')
})

test('when the supervisor dies, the workers end, and port and folder are free; SIGTERM stops all', async () => {
  const folders = async () => (await readdir(broker.folder)).filter(name => name.startsWith('mqttx-'))
  expect(await folders()).toHaveLength(1)
  const pids = [...(await broker.workers()).values()]
  const client = await broker.connect({ clientId: 'left' })
  broker.signal('SIGKILL')
  await client.closed
  await broker.ended
  await broker.isFree()
  for (const pid of pids) expect(existsSync(`/proc/${pid}/exe`)).toBe(false)
  expect(await folders()).toEqual([])

  broker = await WorkersBroker.start(built.path('presets/bin.js'), broker.folder, args)
  const told = await broker.connect({ clientId: 'told' })
  broker.signal('SIGTERM')
  expect(await told.next(PacketType.Disconnect)).toMatchObject({ reasonCode: 0x8b })
  expect(await broker.ended).toBe(0)
  expect(broker.lines.filter(line => line.includes('stopped'))).toHaveLength(1)
})

test('check says what does not go with workers, and how to cure it', async () => {
  const folder = await folderWith({})
  const check = async (...sets: string[]) => await commandLine(folder, ['check', ...sets.flatMap(set => ['--set', set])])
  expect((await check('workers=2', 'preset=test', 'memory=false')).errors.join()).toMatch(
    /workers: no plugin keeps the sessions.*add disk or redis, or memory: true/,
  )
  const disk = await check('workers=2')
  expect([disk.code, disk.out.join('\n')]).toEqual([0, expect.stringMatching(/plugins, in order: .*localBus, disk, cluster,.*socket/)])
  const good = await check('workers=2', 'preset=dev')
  expect([good.code, good.out.join('\n')]).toEqual([0, expect.stringMatching(/plugins, in order: .*redis, cluster,.*socket/)])
  const local = await check('workers=2', 'preset=test')
  expect(local.out.join('\n')).toMatch(/plugins, in order: .*localBus, memory, cluster,.*socket/)
  expect((await check('workers=0')).errors.join()).toContain('workers')
})
