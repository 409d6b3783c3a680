import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import mqtt from 'mqtt'
import { expect, onTestFinished, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { folderWith } from '../config/folder.ts'
import { connectBytes, text } from '../conformance/bytes.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/redis.ts'
import { Lines, namedPipe, type Output, textOf, UnreadCommand } from './unread.ts'

// Goal: whatever becomes of standard output and standard error, the broker serves, and ends when it is told to. Method: a process of its own whose lines are
// not read, or cannot be written, while clients come and messages go.

const built = beforeAllBuilt()
const program = () => built.path('presets/bin.js')

/** A client that has read its CONNACK. */
async function dial(port: number, clientId: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => {})
  socket.write(Buffer.from(connectBytes({}, text(clientId)), 'hex'))
  const [answer] = await once(socket, 'data')
  expect((answer as Buffer).toString('hex')).toBe('20020000')
  return socket
}

/** More lines than fit into a pipe: 800 clients come and go. */
async function crowd(port: number): Promise<void> {
  for (let group = 0; group < 8; group++) {
    const sockets = await Promise.all(Array.from({ length: 100 }, (_, i) => dial(port, `${'c'.repeat(100)}${group * 100 + i}`)))
    for (const socket of sockets) socket.end(Buffer.from('e000', 'hex'))
  }
}

/** More lines than fit into the buffer behind the pipe: at level `trace` each packet is one, and here some 300 bytes of its topic are in it. */
async function flood(port: number): Promise<void> {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: 'loud', reconnectPeriod: 0 })
  const topic = 't'.repeat(300)
  for (let i = 0; i < 10; i++) await Promise.all(Array.from({ length: 600 }, () => client.publishAsync(topic, '', { qos: 1 })))
  await client.endAsync()
}

/** What the broker writes to, and how it is read: a pipe, as of a shell; a socket, as of a parent in Node or of systemd. */
async function outputs(kind: 'pipe' | 'socket', folder: string) {
  if (kind === 'socket') return { given: ['pipe', 'pipe'] as [Output, Output], take: (command: UnreadCommand) => command.child.stdout! }
  const { read, write } = namedPipe(folder, 'out')
  const given = [write, 'pipe'] as [Output, Output]
  return {
    given,
    take() {
      // Its other end is the broker's alone.
      closeSync(write)
      return read
    },
  }
}

test.each([
  ['pipe', 'pretty'],
  ['socket', 'json'],
] as const)(
  'a %s that nobody reads any more, format %s: clients are served, lines are counted and told, SIGTERM ends it',
  async (kind, format) => {
    const folder = await folderWith()
    const { given, take } = await outputs(kind, folder)
    const args = ['--set', `log.format=${format}`, '--set', 'log.level=trace']
    const broker = await UnreadCommand.start(program(), folder, args, given)
    const lines = new Lines(take(broker))
    await broker.ready()
    await crowd(broker.port)
    await flood(broker.port)
    expect((await broker.get('/livez')).status).toBe(200)
    const lost = await broker.metric('mqttx_log_dropped_lines_total')
    expect(lost).toBeGreaterThan(0)

    lines.read()
    const [, said] = await lines.line(/(\d+) lines lost: they were not read in time/)
    expect(Number(said)).toBe(lost)
    // From there on every line is there again.
    await (await dial(broker.port, 'heard')).end()
    await lines.line(/heard.*connected|connected.*heard/)
    if (format === 'json') for (const line of lines.all) JSON.parse(line)

    lines.stopReading()
    await crowd(broker.port)
    broker.child.kill('SIGTERM')
    expect(await broker.ended).toBe(0)
  },
)

test('one pipe for standard output and standard error that is not read from the first moment on: it starts, and a second signal ends it at once', async () => {
  const endless = `export default {
    name: 'endless',
    apply({ hooks, log }) {
      for (let i = 0; i < 20; i++) console.error('e'.repeat(10_000))
      for (let i = 0; i < 20; i++) console.log('o'.repeat(10_000))
      process.emitWarning('w'.repeat(100_000))
      hooks.onDisconnect.tapPromise('endless', () => new Promise(() => setInterval(() => {}, 1000)))
    },
  }`
  const config = `export default { mqtt: { verdictTimeout: '10m' }, plugins: ['./endless.js'] }`
  const folder = await folderWith({ 'mqttx.config.js': config, 'endless.js': endless, 'package.json': '{"type":"module"}' })
  const { read, write } = namedPipe(folder, 'out')
  read.pause()
  const broker = await UnreadCommand.start(program(), folder, [], [write, write])
  await broker.ready()
  await crowd(broker.port)
  const client = await dial(broker.port, 'last')
  broker.child.kill('SIGTERM')
  await once(client, 'close')
  broker.child.kill('SIGTERM')
  expect(await broker.ended).toBe(143)
})

test('what ends the process ends it, too, where nobody reads why', async () => {
  const plugin = `export default {
    name: 'bomb',
    apply() {
      for (let i = 0; i < 20; i++) console.error('e'.repeat(10_000))
      process.on('SIGUSR2', () => { throw new Error('the bomb') })
    },
  }`
  const folder = await folderWith({ 'bomb.js': plugin, 'package.json': '{"type":"module"}' })
  const { read, write } = namedPipe(folder, 'out')
  read.pause()
  const broker = await UnreadCommand.start(program(), folder, ['--set', 'log=false', '--set', 'plugins=["./bomb.js"]'], ['ignore', write])
  await broker.ready()
  broker.child.kill('SIGUSR2')
  expect(await broker.ended).toBe(1)
})

test('what a library prints on standard error, and what Node warns of, are lines of the log, the same one once', async () => {
  const plugin = `export default {
    name: 'chatter',
    apply({ hooks }) {
      hooks.onConnected.tap('chatter', () => {
        console.error('[ioredis] something is', 'odd')
        console.log('said aloud')
        process.emitWarning('an old thing is used', 'DeprecationWarning', 'DEP9999')
      })
    },
  }`
  const folder = await folderWith({ 'chatter.js': plugin, 'package.json': '{"type":"module"}' })
  const args = ['--set', 'log.format=json', '--set', 'plugins=["./chatter.js"]']
  const broker = await UnreadCommand.start(program(), folder, args, ['pipe', 'pipe'])
  const [out, errors] = [new Lines(broker.child.stdout!), new Lines(broker.child.stderr!)]
  out.read()
  errors.read()
  await broker.ready()
  for (const name of ['one', 'two', 'three']) (await dial(broker.port, name)).end(Buffer.from('e000', 'hex'))
  await out.line(/"clientId":"three".*"disconnected"/)
  const of = (pattern: RegExp) => out.all.filter(line => pattern.test(line))
  expect(of(/ioredis/).map(line => JSON.parse(line))).toMatchObject([
    { level: 40, from: 'standard error', msg: '[ioredis] something is odd' },
  ])
  expect(of(/DEP9999/).map(line => JSON.parse(line).msg)).toEqual(['[DEP9999] DeprecationWarning: an old thing is used'])
  expect(of(/^said aloud$/)).toHaveLength(3)
  broker.child.kill('SIGTERM')
  expect(await broker.ended).toBe(0)
  expect(errors.all).toEqual([])
})

test('a full disk under standard output: it starts, says so on standard error, serves and ends', async () => {
  const folder = await folderWith()
  const full = openSync('/dev/full', 'w')
  const broker = await UnreadCommand.start(program(), folder, ['--set', 'log.format=json'], [full, 'pipe'])
  closeSync(full)
  const errors = new Lines(broker.child.stderr!)
  errors.read()
  await broker.ready()
  await errors.line(/^the log cannot be written: ENOSPC: no space left on device, write; lines wait/)
  await crowd(broker.port)
  broker.child.kill('SIGTERM')
  expect(await broker.ended).toBe(0)
  expect(errors.all).toHaveLength(1)
})

test('a file that cannot grow: lines are counted, and told when there is room; the file holds whole lines only', async () => {
  const folder = await folderWith()
  const path = join(folder, 'log')
  const file = openSync(path, 'a')
  const args = ['--set', 'log.format=json', '--set', 'log.level=trace']
  const broker = await UnreadCommand.start(program(), folder, args, [file, 'pipe'], ['prlimit', '--fsize=10000:unlimited'])
  closeSync(file)
  await broker.ready()
  await flood(broker.port)
  expect((await broker.get('/livez')).status).toBe(200)
  const lost = await broker.metric('mqttx_log_dropped_lines_total')
  expect(lost).toBeGreaterThan(0)
  execFileSync('prlimit', ['--pid', String(broker.child.pid), '--fsize=unlimited'])
  await eventually(async () => /lines lost/.test(await textOf(path)))
  broker.child.kill('SIGTERM')
  expect(await broker.ended).toBe(0)
  const lines = (await textOf(path)).split('\n').slice(0, -1)
  const said = lines.map(line => JSON.parse(line) as { lost?: number; why?: string }).filter(one => one.lost !== undefined)
  expect(said).toMatchObject([{ lost, why: expect.stringMatching(/^EFBIG/) }])
  expect(lines.at(-1)).toMatch(/"stopped"/)
})

test('a reader that has gone: the broker goes on, and ends with 0', async () => {
  const folder = await folderWith()
  const { read, write } = namedPipe(folder, 'out')
  read.resume()
  const broker = await UnreadCommand.start(program(), folder, [], [write, write])
  closeSync(write)
  await broker.ready()
  read.destroy()
  await crowd(broker.port)
  expect((await broker.get('/livez')).status).toBe(200)
  broker.child.kill('SIGTERM')
  expect(await broker.ended).toBe(0)
})

test('a terminal that is stopped by ^S: clients are served, ^Q shows the rest, SIGTERM ends it', async () => {
  const folder = await folderWith()
  const [port, metricsPort] = [await freePort(), await freePort()]
  const args = ['--preset', 'test', '--port', port, '--set', `metrics.port=${metricsPort}`].join(' ')
  // `script` has its command run at a terminal, types what it is sent, and shows what comes.
  const terminal = spawn('script', ['-qfec', `stty -echo; echo $$; exec ${process.execPath} ${program()} ${args}`, '/dev/null'], {
    cwd: folder,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  onTestFinished(() => void terminal.kill('SIGKILL'))
  const lines = new Lines(terminal.stdout)
  lines.read()
  const [, pid] = await lines.line(/^(\d+)\r?$/)
  onTestFinished(() => {
    try {
      process.kill(Number(pid), 'SIGKILL')
    } catch {
      // It has ended.
    }
  })
  await lines.line(/ready: mqttx-broker/)
  terminal.stdin.write('\x13')
  await crowd(port)
  const alive = await fetch(`http://127.0.0.1:${metricsPort}/livez`)
  expect(alive.status).toBe(200)
  terminal.stdin.write('\x11')
  await lines.line(/c799/)
  terminal.stdin.write('\x13')
  await crowd(port)
  process.kill(Number(pid), 'SIGTERM')
  const [code] = await once(terminal, 'exit')
  expect(code).toBe(0)
})
