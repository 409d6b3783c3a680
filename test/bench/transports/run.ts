import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { issueCertificate } from '../../../plugins/ssl/issue-certificate.ts'
import { type BrokerKind, brokerKinds, startBroker } from '../brokers.ts'
import { pinned } from '../pin.ts'
import { median, writeBelow } from '../report.ts'
import { cpuSeconds } from '../usage.ts'
import type { Way } from './wire.ts'
import type { TransportAnswer, TransportLoad, TransportOrder, TransportResult } from './worker.ts'

interface TransportScenario {
  readonly id: string
  readonly title: string
  readonly ways: readonly Way[]
  readonly load: Omit<TransportLoad, 'way' | 'port'>
}

const base = { kind: 'pairs', clients: 50, messages: 8000, payload: 64, qos: 0, window: 20 } as const

const scenarios: readonly TransportScenario[] = [
  { id: 'stream-q0', title: '50 pairs, 64 B, QoS 0, window 20', ways: ['tcp', 'tls', 'ws', 'wss'], load: base },
  {
    id: 'stream-q1',
    title: '50 pairs, 64 B, QoS 1, window 20',
    ways: ['tcp', 'tls', 'ws', 'wss'],
    load: { ...base, qos: 1, messages: 4000 },
  },
  {
    id: 'single-q0',
    title: '50 pairs, 64 B, QoS 0, window 1',
    ways: ['tcp', 'tls', 'ws', 'wss'],
    load: { ...base, window: 1, messages: 1200 },
  },
  {
    id: 'large-q0',
    title: '20 pairs, 16 KiB, QoS 0, window 4',
    ways: ['tcp', 'tls', 'ws'],
    load: { ...base, clients: 20, payload: 16_384, window: 4, messages: 400 },
  },
  { id: 'connect', title: '1500 connects, 50 at a time', ways: ['tcp', 'tls', 'wss'], load: { ...base, kind: 'connect', clients: 1500 } },
]

interface Row extends TransportResult {
  readonly scenario: string
  readonly way: Way
  readonly broker: string
  readonly cpuMicros: number
}

/** TLS and WebSocket beside plain TCP, and beside mosquitto: the broker's CPU for a message over each. */
export async function runTransports({
  only,
  rounds,
  write,
}: {
  only: readonly string[] | undefined
  rounds: number
  write: boolean
}): Promise<void> {
  const files = certificates()
  const rows: Row[] = []
  const tables: string[] = []
  for (const { id, title, ways, load } of scenarios) {
    if (only !== undefined && !only.some(start => id.startsWith(start))) continue
    for (let round = 0; round < rounds; round++) {
      for (const way of ways) {
        for (const kind of brokersFor(way, files)) {
          const broker = await startBroker(kind)
          try {
            const { result, cpu } = await measured(broker.pid, { ...load, way, port: broker.port })
            rows.push({ ...result, scenario: id, way, broker: kind.name, cpuMicros: (cpu * 1e6) / result.messages })
          } finally {
            await broker.stop()
          }
          const { cpuMicros, seconds, messages } = rows.at(-1)!
          console.error(`${id} ${way} ${kind.name}: ${cpuMicros.toFixed(2)} µs of CPU each, ${Math.round(messages / seconds)}/s`)
        }
      }
    }
    tables.push(
      tableOf(
        title,
        rows.filter(row => row.scenario === id),
      ),
    )
    console.log(`\n${tables.at(-1)}`)
  }
  const kinds = brokerKinds.filter(kind => rows.some(row => row.broker === kind.name))
  if (write) writeBelow('transports.md', 'transports --write', kinds, rounds, tables.join('\n\n'))
}

function tableOf(title: string, rows: readonly Row[]): string {
  const lines = [`**${title}**`, '', '| way | broker | CPU µs each | of our TCP | each/s |', '|---|---|--:|--:|--:|']
  const of = (way: Way, broker: string) => rows.filter(row => row.way === way && row.broker === broker)
  const cpu = (found: readonly Row[]) => median(found.map(row => row.cpuMicros))
  const own = cpu(of('tcp', 'mqttx-broker'))
  for (const way of ['tcp', 'tls', 'ws', 'wss'] as const) {
    for (const broker of ['mqttx-broker', 'mosquitto']) {
      const found = of(way, broker)
      if (found.length === 0) continue
      const rate = median(found.map(({ messages, seconds }) => messages / seconds))
      lines.push(
        `| ${way} | ${broker} | ${cpu(found).toFixed(2)} | ${(cpu(found) / own).toFixed(2)} | ${Math.round(rate).toLocaleString('en-US')} |`,
      )
    }
  }
  return lines.join('\n')
}

function certificates(): { cert: string; key: string } {
  const folder = mkdtempSync(path.join(tmpdir(), 'mqttx-bench-tls-'))
  const day = 86_400_000
  const { cert, key } = issueCertificate({
    commonName: 'localhost',
    use: 'server',
    names: ['localhost', '127.0.0.1'],
    validFrom: Date.now() - day,
    validTo: Date.now() + day,
  })
  const files = { cert: path.join(folder, 'server.crt'), key: path.join(folder, 'server.key') }
  writeFileSync(files.cert, cert)
  writeFileSync(files.key, key, { mode: 0o600 })
  return files
}

function brokersFor(way: Way, files: { cert: string; key: string }): BrokerKind[] {
  const kind = (name: string) => brokerKinds.find(one => one.name === name)!
  const [ours, mosquitto] = [kind('mqttx-broker'), kind('mosquitto')]
  const secure = way === 'tls' || way === 'wss'
  const kinds: BrokerKind[] = [{ ...ours, command: port => [...ours.command(port), ...ourOptions(way, port, files)] }]
  // Debian's mosquitto offers WebSocket on no loopback address.
  if (mosquitto.version() === undefined || way === 'ws' || way === 'wss') return kinds
  kinds.push({
    ...mosquitto,
    command(port) {
      const lines = [
        `listener ${port} 127.0.0.1`,
        'allow_anonymous true',
        // Started by root it gives up root's rights, and could not read the key.
        ...(process.getuid?.() === 0 ? ['user root'] : []),
        'log_type none',
        'persistence false',
        'max_inflight_messages 0',
        'max_queued_messages 0',
        'set_tcp_nodelay true',
        ...(secure ? [`certfile ${files.cert}`, `keyfile ${files.key}`] : []),
      ]
      const config = path.join(path.dirname(files.cert), `mosquitto-${port}.conf`)
      writeFileSync(config, `${lines.join('\n')}\n`)
      const [binary] = mosquitto.command(port)
      return [binary!, '-c', config]
    },
  })
  return kinds
}

function ourOptions(way: Way, port: number, files: { cert: string; key: string }): string[] {
  const options = [...(way === 'tls' || way === 'wss' ? [`ssl.cert=${files.cert}`, `ssl.key=${files.key}`] : [])]
  if (way === 'ws' || way === 'wss') options.push('socket.enable=false', `websocket.port=${port}`)
  return options.flatMap(option => ['--set', option])
}

/** Runs a load in a process of its own, and reads what it cost the broker. */
async function measured(pid: number, load: TransportLoad): Promise<{ result: TransportResult; cpu: number }> {
  const worker = fileURLToPath(new URL('worker.ts', import.meta.url))
  const [command, ...args] = pinned('load', [process.execPath, '--import', 'jiti/register', worker])
  const child = spawn(command!, args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  try {
    await ask(child, { open: load })
    const before = cpuSeconds(pid)
    const result = (await ask(child, 'go')) as TransportResult
    return { result, cpu: cpuSeconds(pid) - before }
  } finally {
    child.kill('SIGKILL')
  }
}

function ask(child: ChildProcess, order: TransportOrder): Promise<TransportAnswer> {
  return new Promise((resolve, reject) => {
    child.once('exit', code => reject(new Error(`the load process ended with ${code}`)))
    child.once('message', (answer: TransportAnswer) => {
      child.removeAllListeners('exit')
      if ('failed' in answer) reject(new Error(answer.failed))
      else resolve(answer)
    })
    child.send(order)
  })
}
