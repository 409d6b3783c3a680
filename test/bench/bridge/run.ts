import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { KafkaServer } from '../../support/kafka.ts'
import { KafkaReader } from '../../support/kafka-reader.ts'
import { brokerKinds, startBroker } from '../brokers.ts'
import { LoadProcess } from '../load/load-process.ts'
import type { Workload } from '../load/workload.ts'
import { canPin, pinned } from '../pin.ts'
import { median, writeBelow } from '../report.ts'
import { cpuSeconds } from '../usage.ts'

const publishers = 50
const warmUp = 400
const messages = 3000
const total = publishers * messages

const workload: Workload = {
  kind: 'publish',
  publishers,
  subscribers: 0,
  messages,
  payload: 256,
  qos: 1,
  window: 100,
  rate: 0,
  cleanSession: true,
}

interface Figures {
  readonly perSecond: number
  readonly cpuMicros: number
}

const ways = ['kafkajs alone', 'no bridge', 'ack none', 'ack local', 'ack kafka'] as const
type Way = (typeof ways)[number]

/** What bridging costs: until Kafka has all of it, beside kafkajs that sends the same by itself, and beside a broker that bridges nothing. */
export async function runBridge({ rounds, write }: { rounds: number; write: boolean }): Promise<void> {
  const kafka = await KafkaServer.start()
  try {
    // Broker and kafkajs have a core; the load and Kafka share the other.
    if (canPin) execFileSync('taskset', ['-acp', '1', String(kafka.pid)], { stdio: 'ignore' })
    const reader = new KafkaReader(kafka.address)
    const found = new Map<Way, Figures[]>(ways.map(way => [way, []]))
    for (let round = 0; round < rounds; round++) {
      for (const way of ways) {
        const topic = `bench-${round}-${way.replace(' ', '-')}`
        await reader.createTopics({ [topic]: 3 })
        const figures = way === 'kafkajs alone' ? await alone(kafka, topic) : await bridged(kafka, reader, topic, way)
        console.error(`${way} ${round + 1}: ${Math.round(figures.perSecond)}/s, ${figures.cpuMicros.toFixed(2)} µs/msg`)
        found.get(way)!.push(figures)
      }
    }
    const table = tableOf(found)
    console.log(table)
    if (write) writeBelow('bridge.md', 'bridge --write', brokerKinds.slice(0, 1), rounds, table)
  } finally {
    await kafka.stop()
  }
}

async function alone({ address }: KafkaServer, topic: string): Promise<Figures> {
  const script = fileURLToPath(new URL('alone.ts', import.meta.url))
  const [program, ...args] = pinned('broker', [process.execPath, '--import', 'jiti/register', script, address, topic, String(total)])
  return JSON.parse(execFileSync(program!, args, { encoding: 'utf8' })) as Figures
}

async function bridged({ address }: KafkaServer, reader: KafkaReader, topic: string, way: Way): Promise<Figures> {
  const folder = mkdtempSync(path.join(tmpdir(), 'mqttx-bench-bridge-'))
  const sets = [`diskQueue.path=${folder}`]
  if (way !== 'no bridge') {
    const rule = { filter: '#', to: topic, ack: way.slice('ack '.length) }
    sets.push(`messageBridge.brokers=["${address}"]`, `messageBridge.topics=[${JSON.stringify(rule)}]`)
  }
  const [ours] = brokerKinds
  const command = (port: number) => [...ours!.command(port), ...sets.flatMap(set => ['--set', set])]
  const broker = await startBroker({ ...ours!, name: way, command })
  const load = await LoadProcess.open(broker.port, workload)
  try {
    await load.run(warmUp)
    if (way !== 'no bridge') await arrived(reader, topic, publishers * warmUp)
    const before = cpuSeconds(broker.pid)
    const begun = performance.now()
    await load.run(messages)
    if (way !== 'no bridge') await arrived(reader, topic, publishers * (warmUp + messages))
    const seconds = (performance.now() - begun) / 1000
    return { perSecond: total / seconds, cpuMicros: ((cpuSeconds(broker.pid) - before) * 1e6) / total }
  } finally {
    load.stop()
    await broker.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function arrived(reader: KafkaReader, topic: string, count: number): Promise<void> {
  while ((await reader.count(topic)) < count) await new Promise(resolve => setTimeout(resolve, 20))
}

function tableOf(found: ReadonlyMap<Way, readonly Figures[]>): string {
  const of = (way: Way) => {
    const figures = found.get(way)!
    return { perSecond: median(figures.map(({ perSecond }) => perSecond)), cpuMicros: median(figures.map(({ cpuMicros }) => cpuMicros)) }
  }
  const base = of('kafkajs alone')
  const plain = of('no bridge')
  const rows = ways.map(way => {
    const { perSecond, cpuMicros } = of(way)
    const bridging = way.startsWith('ack') ? (cpuMicros - plain.cpuMicros).toFixed(1) : ''
    return `| ${way} | ${Math.round(perSecond).toLocaleString('en')} | ${(perSecond / base.perSecond).toFixed(2)} | ${cpuMicros.toFixed(1)} | ${bridging} |`
  })
  return ['| | messages/s | × kafkajs alone | CPU µs/message | of it for bridging |', '|---|---|---|---|---|', ...rows].join('\n')
}
