import { once } from 'node:events'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { OpenFiles } from '../../plugins/kit/listening/open-files.ts'
import { beforeAllBuilt } from '../config/built.ts'
import { folderWith } from '../config/folder.ts'
import { connectBytes, text } from '../conformance/bytes.ts'
import { eventually } from '../support/eventually.ts'
import { Lines, UnreadCommand } from './unread.ts'

// Goal: a process that may open few files refuses connections by itself, and says so, before the system does without a word.

const built = beforeAllBuilt()
const limited = ['prlimit', '--nofile=256:256']

async function start(...sets: string[]): Promise<{ broker: UnreadCommand; out: Lines }> {
  const args = ['--set', 'log.format=json', ...sets.flatMap(set => ['--set', set])]
  const broker = await UnreadCommand.start(built.path('presets/bin.js'), await folderWith(), args, ['pipe', 'ignore'], limited)
  const out = new Lines(broker.child.stdout!)
  out.read()
  await broker.ready()
  return { broker, out }
}

interface Outcome {
  readonly socket: Socket
  /** What came, in hex; empty where it was closed without an answer. */
  readonly answer: string
}

/** What becomes of a connection that sends CONNECT: 3.1.1 or, by its bytes, 5. */
async function outcome(port: number, clientId: string, version: 4 | 5): Promise<Outcome> {
  const socket = connect(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => {})
  const hex = version === 4 ? connectBytes({}, text(clientId)) : connectBytes({ level: '05' }, '00', text(clientId))
  socket.write(Buffer.from(hex, 'hex'))
  const answer = await Promise.race([
    new Promise<string>(resolve => socket.once('data', data => resolve(data.toString('hex')))),
    new Promise<string>(resolve => socket.once('close', () => resolve(''))),
  ])
  return { socket, answer }
}

test('400 connections where 256 files may be open: each is let in, told, or counted; health answers meanwhile; places that become free are used', async () => {
  const { broker, out } = await start()
  const before = await broker.metric('mqttx_connections_opened_total')
  const all = await Promise.all(Array.from({ length: 400 }, (_, i) => outcome(broker.port, `c${i}`, i % 2 === 0 ? 4 : 5)))
  expect(await broker.get('/readyz')).toMatchObject({ status: 200 })
  const of = (pattern: RegExp) => all.filter(({ answer }) => pattern.test(answer))
  const admitted = of(/^20020000$|^20..0000/)
  const told = of(/^20020003$|^20..0097/)
  const unanswered = of(/^$/)
  expect(admitted.length + told.length + unanswered.length).toBe(400)
  expect(admitted.length).toBeGreaterThan(100)
  expect(told.length).toBeGreaterThan(0)
  expect(told.some(({ answer }) => answer === '20020003') && told.some(({ answer }) => /^20..0097/.test(answer))).toBe(true)
  const { text: metrics } = await broker.get('/metrics')
  const value = (name: string) => Number(new RegExp(`^${name.replaceAll(/[{}]/g, '\\$&')} (\\S+)$`, 'm').exec(metrics)?.[1])
  expect(value('mqttx_connections_opened_total') - before).toBe(400)
  expect(value('mqttx_limited_total{limit="openFiles"}')).toBe(told.length + unanswered.length)
  expect(value('mqttx_open_fds_max')).toBe(256)
  expect(value('mqttx_open_fds')).toBeLessThanOrEqual(256 - 64 / 2)
  await out.line(/"limit":"openFiles".*connections are refused: this process has nearly as many files open as the system allows; raise/)

  for (const { socket } of admitted) socket.end(Buffer.from('e000', 'hex'))
  await Promise.all(admitted.map(({ socket }) => once(socket.resume(), 'close')))
  expect((await outcome(broker.port, 'later', 4)).answer).toBe('20020000')
})

test('connections to a WebSocket listener that never ask for one cannot use up the files either', async () => {
  const { broker, out } = await start('websocket.port=0', 'heartbeat=10m')
  const [, port] = await out.line(/ws listening on .*:(\d+)/)
  for (let i = 0; i < 400; i++) {
    const socket = connect(Number(port), '127.0.0.1')
    onTestFinished(() => void socket.destroy())
    socket.on('error', () => {})
  }
  const refused = () => broker.metric('mqttx_limited_total\\{limit="openFiles"\\}')
  await eventually(async () => (await refused()) > 150)
  await out.line(/websocket: connections are refused: this process has nearly as many files open/)
  expect(await broker.get('/readyz')).toMatchObject({ status: 200 })
  expect(await broker.metric('mqttx_open_fds')).toBeLessThan(256 - 64 / 2)
})

test('limits.maxConnections above what the system allows is a warning that names the cure; one that fits is none', async () => {
  const { out } = await start('limits.maxConnections=1000')
  await out.line(/limits\.maxConnections is 1000, but the system lets this process open 256 files, .* ulimit -n, LimitNOFILE=/)
  const fits = await start('limits.maxConnections=100')
  await fits.out.line(/ready: mqttx-broker/)
  expect(fits.out.all.filter(line => /"level":40/.test(line))).toEqual([])
})

test('where the system does not tell the number of open files as a size, they are counted, and not for each connection', async () => {
  const folder = await folderWith({
    limits: 'Limit   Soft Limit  Hard Limit  Units\nMax open files            400                  400                  files     \n',
  })
  // A folder whose size is none, as on older systems: entries in it stand for files that are open.
  const fds = '/proc/self/task'
  const files = new OpenFiles(join(folder, 'limits'), fds)
  expect(files.max).toBe(400)
  expect(files.reserve).toBe(64)
  let taken = 0
  while (taken < 10_000 && files.hasRoom()) taken += 1
  // What is counted never grows here, so there is always room.
  expect(taken).toBe(10_000)
  await mkdir(join(folder, 'fd'))
  for (let i = 0; i < 5; i++) await writeFile(join(folder, 'fd', String(i)), '')
  expect(new OpenFiles(join(folder, 'limits'), join(folder, 'fd')).max).toBe(400)
  await rm(join(folder, 'limits'))
  const unknown = new OpenFiles(join(folder, 'limits'))
  expect([unknown.max, unknown.count(), unknown.hasRoom()]).toEqual([Number.POSITIVE_INFINITY, 0, true])
})
