import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, connect as tcp } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { pinned } from './pin.ts'

const here = path.dirname(fileURLToPath(import.meta.url))
const root = path.resolve(here, '../..')

/** A broker that can be measured: how it is started, and which version it is. */
export interface BrokerKind {
  readonly name: string
  /** Undefined where it is not installed, or no variable names its binary. */
  version(): string | undefined
  command(port: number): string[]
  /** Only where it is asked for by name. */
  readonly optional?: boolean
}

/** A broker process that listens. */
export interface RunningProcess {
  readonly name: string
  readonly pid: number
  readonly port: number
  /** Milliseconds from starting the process to its port accepting. */
  readonly startedInMs: number
  stop(): Promise<void>
}

const ours: BrokerKind = {
  name: 'mqttx-broker',
  version: () => (JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string }).version,
  command: port => [
    process.execPath,
    path.join(root, 'dist/presets/bin.js'),
    '--preset',
    'test',
    '--port',
    String(port),
    '--set',
    'log.level=warn',
  ],
}

// As many rules as a small plant has, and the one that lets the load pass comes last.
const rules = [
  { deny: 'publish', topics: ['secret/#', '+/secret/#'] },
  { allow: 'all', topics: ['admin/#'], users: ['admin'] },
  { allow: 'publish', topics: ['devices/%c/state', 'devices/%c/telemetry/#'] },
  { allow: 'subscribe', topics: ['devices/%c/commands/#'] },
  { allow: 'all', topics: ['home/%u/#'] },
  { allow: 'all', topics: ['#'] },
]

const secured: BrokerKind = {
  name: 'mqttx-broker+topicSecurity',
  optional: true,
  version: ours.version,
  command: port => [...ours.command(port), '--set', `topicSecurity.rules=${JSON.stringify(rules)}`],
}

const watched: BrokerKind = {
  name: 'mqttx-broker+metrics',
  optional: true,
  version: ours.version,
  command: port => [...ours.command(port), '--set', 'metrics.port=0'],
}

const mosquitto: BrokerKind = {
  name: 'mosquitto',
  version() {
    const binary = mosquittoBinary()
    if (binary === undefined) return undefined
    return /version (\S+)/.exec(outputOf(binary, ['-h']))?.[1] ?? 'unknown'
  },
  command(port) {
    // Nothing is dropped at QoS 1 and 2; everything else is its default.
    const config = path.join(mkdtempSync(path.join(tmpdir(), 'mqttx-bench-')), 'mosquitto.conf')
    const lines = [
      `listener ${port} 127.0.0.1`,
      'allow_anonymous true',
      'log_type none',
      'persistence false',
      'max_inflight_messages 0',
      'max_queued_messages 0',
    ]
    writeFileSync(config, `${lines.join('\n')}\n`)
    return [mosquittoBinary()!, '-c', config]
  },
}

const aedes: BrokerKind = {
  name: 'aedes',
  version: () => (JSON.parse(readFileSync(path.join(root, 'node_modules/aedes/package.json'), 'utf8')) as { version: string }).version,
  command: port => [process.execPath, path.join(here, 'aedes-broker.mjs'), String(port)],
}

const flashmq: BrokerKind = {
  name: 'flashmq',
  version() {
    const binary = process.env.FLASHMQ_BIN
    return binary === undefined ? undefined : (/(\d+\.\d+\.\d+)/.exec(outputOf(binary, ['--version']))?.[1] ?? 'unknown')
  },
  command(port) {
    // One thread, for it has one core as the others do, and nothing is dropped.
    const folder = mkdtempSync(path.join(tmpdir(), 'mqttx-bench-'))
    const config = path.join(folder, 'flashmq.conf')
    const lines = [
      'allow_anonymous true',
      'thread_count 1',
      `log_file ${path.join(folder, 'flashmq.log')}`,
      'log_level warning',
      'max_qos_msg_pending_per_client 65535',
      'max_qos_bytes_pending_per_client 268435456',
      'client_max_write_buffer_size 268435456',
      'listen {',
      '  protocol mqtt',
      `  port ${port}`,
      '  inet_protocol ip4',
      '  inet4_bind_address 127.0.0.1',
      '}',
    ]
    writeFileSync(config, `${lines.join('\n')}\n`)
    return [process.env.FLASHMQ_BIN!, '-c', config]
  },
}

/** Another checkout of this broker, built, for the same work in the same run. */
export function besideKind(folder: string): BrokerKind {
  const program = path.resolve(folder, 'dist/presets/bin.js')
  return {
    name: 'the other checkout',
    version: () =>
      existsSync(program)
        ? (JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as { version: string }).version
        : undefined,
    command: port => {
      const [node, , ...rest] = ours.command(port)
      return [node!, program, ...rest]
    },
  }
}

export const brokerKinds: readonly BrokerKind[] = [ours, secured, watched, mosquitto, flashmq, aedes]

function mosquittoBinary(): string | undefined {
  return [process.env.MOSQUITTO_BIN, '/usr/sbin/mosquitto', '/usr/local/sbin/mosquitto', '/opt/homebrew/sbin/mosquitto'].find(
    binary => binary !== undefined && existsSync(binary),
  )
}

function outputOf(command: string, args: string[]): string {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  } catch (error) {
    // mosquitto -h ends with 1, and prints its version all the same.
    return (error as { stdout?: string }).stdout ?? ''
  }
}

/** Starts a broker on a free port of loopback, on the first core where two can be told apart. */
export async function startBroker(kind: BrokerKind): Promise<RunningProcess> {
  const port = await freePort()
  const [command, ...args] = pinned('broker', kind.command(port))
  const began = performance.now()
  const child = spawn(command!, args, { stdio: 'ignore', cwd: tmpdir() })
  await accepting(child, port, kind.name)
  const startedInMs = performance.now() - began
  return { name: kind.name, pid: child.pid!, port, startedInMs, stop: () => stop(child) }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise(resolve => server.close(resolve))
  return port
}

async function accepting(child: ChildProcess, port: number, name: string): Promise<void> {
  const until = performance.now() + 15_000
  while (performance.now() < until) {
    if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode} at start`)
    const open = await new Promise<boolean>(resolve => {
      const socket = tcp(port, '127.0.0.1', () => {
        socket.destroy()
        resolve(true)
      })
      socket.on('error', () => resolve(false))
    })
    if (open) return
    await new Promise(resolve => setTimeout(resolve, 5))
  }
  child.kill('SIGKILL')
  throw new Error(`${name} did not listen within 15 s`)
}

function stop(child: ChildProcess): Promise<void> {
  return new Promise(resolve => {
    if (child.exitCode !== null) return resolve()
    const kill = setTimeout(() => child.kill('SIGKILL'), 5000)
    child.once('exit', () => {
      clearTimeout(kill)
      resolve()
    })
    child.kill('SIGTERM')
  })
}
