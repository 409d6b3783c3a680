import { execFileSync } from 'node:child_process'
import { openSync, readFileSync, readSync, renameSync, rmSync, writeSync } from 'node:fs'
import { connect as connectSocket } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { ReasonCode } from '../../core/reason.ts'
import { beforeAllBuilt } from '../config/built.ts'
import { folderWith } from '../config/folder.ts'
import { type ConnectOptions, TestClient } from '../support/client.ts'
import { freePort } from '../support/redis.ts'
import { Command } from './command.ts'

const built = beforeAllBuilt()

function start(folder: string, under: readonly string[] = [], more: readonly string[] = []): Command {
  return new Command(built.path('presets/bin.js'), folder, ['--port', '0', ...more], {}, under)
}

/** What a broker says of itself over HTTP. */
async function seen(port: number): Promise<{ ready: string; value(name: string): number }> {
  const response = await fetch(`http://127.0.0.1:${port}/readyz`)
  const ready = `${response.status} ${await response.text()}`
  const lines = (await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()).split('\n')
  return { ready, value: name => Number(lines.find(line => line.startsWith(`${name} `))?.slice(name.length + 1)) }
}

async function connect(port: number, options: ConnectOptions = {}): Promise<TestClient> {
  const socket = connectSocket({ port, host: '127.0.0.1', noDelay: true })
  onTestFinished(() => void socket.destroy())
  const client = new TestClient(socket, options.version ?? 5)
  await client.connect(options)
  return client
}

const durable = (clientId: string): ConnectOptions => ({ clientId, cleanStart: false, properties: { sessionExpiry: 3600 } })

/** A persistent subscriber who is away. */
async function subscribeAndLeave(port: number, filter: string): Promise<void> {
  const sleeper = await connect(port, durable('sleeper'))
  await sleeper.subscribe(filter, 1)
  sleeper.disconnect()
  await sleeper.closed
}

async function queued(port: number): Promise<string[]> {
  const sleeper = await connect(port, durable('sleeper'))
  const marker = await connect(port)
  await marker.publish('a', 'last', { qos: 1 })
  const payloads: string[] = []
  while (payloads.at(-1) !== 'last') payloads.push((await sleeper.receive()).payload.toString())
  return payloads.slice(0, -1)
}

/** What a trace of system calls shows, in order: `sync` and `meta` where they have returned, `ack` where a PUBACK begins to leave. */
function happened(trace: string): ('sync' | 'meta' | 'ack')[] {
  const names = {
    sync: /fdatasync(\(\d+\)| resumed>\)?).*= 0$/,
    meta: /pwrite64\(META, |pwrite64 resumed>.*= 128$/,
    ack: /write\(\d+, "@\\2/,
  }
  const metaFd = /openat\(.*data\.mdb", O_WRONLY\|O_DSYNC.*= (\d+)$/m.exec(trace)?.[1]
  expect(metaFd, 'the file is written by descriptors whose writes are synced').toBeDefined()
  const events: ('sync' | 'meta' | 'ack')[] = []
  for (const line of trace.split('\n')) {
    const said = line.replace(`pwrite64(${metaFd}, `, 'pwrite64(META, ')
    if (names.sync.test(said)) events.push('sync')
    else if (names.meta.test(said) && said.endsWith('= 128')) events.push('meta')
    else if (names.ack.test(said)) events.push('ack')
  }
  return events
}

test('no acknowledgement leaves before the disk has synced what it stands for, and one sync serves all of a turn', async () => {
  const folder = await folderWith()
  const file = join(folder, 'trace')
  const broker = start(folder, ['strace', '-D', '-f', '-s', '8', '-e', 'trace=openat,fdatasync,pwrite64,write', '-o', file])
  const port = await broker.ready()
  await subscribeAndLeave(port, 'a')
  const publisher = await connect(port)
  for (let i = 0; i < 20; i++) await publisher.publish('a', `one ${i}`, { qos: 1 })
  // All in one write: they are read in one turn.
  publisher.stream.cork()
  for (let i = 0; i < 100; i++) publisher.sendPublish('a', `many ${i}`, { qos: 1 })
  publisher.stream.uncork()
  for (let i = 0; i < 100; i++) await publisher.next(PacketType.Puback)
  broker.signal('SIGKILL')
  await broker.ended()
  await expect.poll(() => readFileSync(file, 'utf8'), { interval: 10 }).toMatch(/\+\+\+ (exited|killed)[^\n]*\n$/)

  const events = happened(readFileSync(file, 'utf8'))
  const acks = events.flatMap((event, at) => (event === 'ack' ? [at] : []))
  expect(acks.length).toBeGreaterThanOrEqual(21)
  for (const at of acks.slice(0, 20)) {
    const since = events.slice(events.lastIndexOf('ack', at - 1) + 1, at)
    expect(since.indexOf('sync')).toBeGreaterThanOrEqual(0)
    expect(since.lastIndexOf('meta')).toBeGreaterThan(since.indexOf('sync'))
  }
  const many = events.slice(acks[19]! + 1).filter(event => event === 'sync')
  expect(many.length).toBeGreaterThanOrEqual(1)
  expect(many.length).toBeLessThan(10)
})

test('a full disk: MQTT 5 publishers are told 0x97, others get no acknowledgement; with space it goes on by itself, nothing lost', async () => {
  const folder = await folderWith()
  // What the limit on a file's size says (EFBIG) is dealt with as what a full disk does (ENOSPC).
  const metrics = await freePort()
  const broker = start(folder, ['prlimit', `--fsize=${4 * 1024 * 1024}:unlimited`], ['--set', `metrics.port=${metrics}`])
  const port = await broker.ready()
  await subscribeAndLeave(port, 'a')
  const publisher = await connect(port)
  const filler = 'x'.repeat(64 * 1024)
  const kept: string[] = []
  const full = broker.line(/data is full; free some space/)
  let isFull = false
  full.then(() => (isFull = true))
  // The one that finds the disk full has no acknowledgement: it may yet be kept.
  let withheld: Promise<unknown> | null = null
  for (let count = 1; withheld === null; count++) {
    expect(count, 'the disk should be full by now').toBeLessThan(200)
    const payload = `${count} ${filler}`
    const ack = publisher.publish('a', payload, { qos: 1 })
    const answer = await Promise.race([ack, full.then(() => null)])
    if (answer === null) withheld = ack
    else {
      expect(answer!.reasonCode).toBe(ReasonCode.Success)
      kept.push(payload)
    }
  }
  expect(isFull).toBe(true)
  expect(kept.length).toBeGreaterThan(10)
  const refused = await connect(port)
  expect((await refused.publish('a', 'refused', { qos: 1 }))!.reasonCode).toBe(ReasonCode.QuotaExceeded)
  const { ready, value } = await seen(metrics)
  expect(ready).toMatch(/^200 ready; store full/)
  expect(value('mqttx_refused_publishes_total{reason="storeFull"}')).toBe(1)
  expect([value('mqttx_store_full'), value('mqttx_store_up')]).toEqual([1, 1])
  const old = await connect(port, { version: 4 })
  old.sendPublish('a', 'withheld', { qos: 1 })
  // Before MQTT 5 nobody can be told: it is closed without an acknowledgement, so that it sends the message again.
  await old.closed
  expect(old.heard.filter(({ type }) => type === PacketType.Puback)).toEqual([])
  const [reader, writer] = [await connect(port), await connect(port)]
  await reader.subscribe('live')
  await writer.publish('live', 'clean sessions are served')
  expect((await reader.message()).payload.toString()).toBe('clean sessions are served')

  execFileSync('prlimit', ['--pid', String(broker.pid), '--fsize=unlimited:unlimited'])
  await withheld
  expect((await refused.publish('a', 'after', { qos: 1 }))!.reasonCode).toBe(ReasonCode.Success)
  const payloads = await queued(port)
  // Every message that was acknowledged, in order; one that was refused may be there, as one that was not answered may.
  expect(payloads.filter(payload => kept.includes(payload))).toEqual(kept)
  expect(payloads.at(-1)).toBe('after')
})

test('a last write torn by a loss of power: the one before it is taken, and the log says so', async () => {
  const folder = await folderWith()
  const broker = start(folder)
  const port = await broker.ready()
  await subscribeAndLeave(port, 'a')
  const publisher = await connect(port)
  for (let i = 0; i < 5; i++) await publisher.publish('a', String(i), { qos: 1 })
  broker.signal('SIGKILL')
  await broker.ended()
  tearLastCommit(join(folder, 'data', 'data.mdb'))

  const again = start(folder)
  const port2 = await again.ready()
  await again.line(/WARN: disk: the last write to .*data\.mdb was torn; taken up at the one before it \(commit \d+\)/)
  expect((await queued(port2)).slice(0, 4)).toEqual(['0', '1', '2', '3'])
})

test('a second broker on the folder ends with one line that says what to do', async () => {
  const folder = await folderWith()
  await start(folder).ready()
  const second = start(folder)
  expect(await second.ended()).toBe(1)
  expect(second.errors.join('\n')).toMatch(/^error: disk\.path: another broker uses .*data; stop it/m)
})

/** As if half of the newest of LMDB's two meta pages had not reached the disk. */
function tearLastCommit(file: string): void {
  const handle = openSync(file, 'r+')
  const commits = [0, 4096].map(at => {
    const bytes = Buffer.alloc(8)
    readSync(handle, bytes, 0, 8, at + 152)
    return bytes.readBigUInt64LE()
  })
  writeSync(handle, Buffer.alloc(200), 0, 200, commits[0]! > commits[1]! ? 0 : 4096)
}

test.each([
  ['removed', (data: string) => rmSync(data, { recursive: true })],
  ['moved away', (data: string) => renameSync(data, `${data}.away`)],
])(
  'a data folder that is %s under a running broker: said, nothing is acknowledged any more, and taken up again where it comes back',
  async (_title, take) => {
    const folder = await folderWith()
    const data = join(folder, 'data')
    const metrics = await freePort()
    const broker = start(folder, [], ['--set', `metrics.port=${metrics}`])
    const port = await broker.ready()
    await subscribeAndLeave(port, 'a')
    const publisher = await connect(port)
    await publisher.publish('a', 'kept', { qos: 1 })
    take(data)
    // Also where nobody writes.
    await broker.line(/data was removed or replaced under the running broker; put the folder back where it was, or start the broker anew/)
    const { ready, value } = await seen(metrics)
    expect(ready).toMatch(/^503 the store does not answer: the disk takes no writes \(ERR_DISK_GONE\)/)
    expect(value('mqttx_store_up')).toBe(0)
    const other = await connect(port)
    other.sendPublish('a', 'not kept', { qos: 1 })
    await other.closed
    expect(other.heard.filter(({ type }) => type === PacketType.Puback)).toEqual([])
    const [reader, writer] = [await connect(port), await connect(port)]
    await reader.subscribe('live')
    await writer.publish('live', 'clean sessions are served')
    expect((await reader.message()).payload.toString()).toBe('clean sessions are served')
    expect(broker.out.filter(line => line.includes('was removed or replaced under'))).toHaveLength(1)
    if (_title !== 'moved away') return
    renameSync(`${data}.away`, data)
    await broker.line(/data takes writes again/)
    await publisher.publish('a', 'after', { qos: 1 })
    expect(await queued(port)).toEqual(['kept', 'after'])
  },
)
