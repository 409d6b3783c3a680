import { type BrokerKind, brokerKinds, startBroker } from '../brokers.ts'
import { LoadProcess } from '../load/load-process.ts'
import { median, writeBelow } from '../report.ts'
import { cpuSecondsOfAll, memory, processesOf } from '../usage.ts'
import { BenchBroker } from '../workers/broker.ts'
import { type PublishedFigure, type SuiteCase, suiteCases } from './cases.ts'

export interface SuiteOptions {
  readonly only?: readonly string[] | undefined
  readonly brokers?: readonly string[] | undefined
  readonly rounds: number
  readonly write: boolean
}

/** A broker that runs: one process or several. */
interface Running {
  readonly port: number
  readonly pid: number
  stop(): Promise<void>
}

interface Subject {
  readonly name: string
  start(): Promise<Running>
}

/** What one run of one case has shown. */
interface Run {
  readonly cpuMicros: number
  readonly perSecond: number
  readonly brokerCpu: number
  /** Microseconds; null where the load keeps to no rate. */
  readonly mean: number | null
  readonly p99: number | null
  readonly memoryMiB: number
}

const workers = 2

/** The cases of the Open MQTT Benchmark Suite by one process and by workers, beside other brokers here and beside what others have published. */
export async function runSuite({ only, brokers, rounds, write }: SuiteOptions): Promise<void> {
  const chosen = suiteCases.filter(({ id }) => only === undefined || only.some(start => id.startsWith(start)))
  const kinds = brokerKinds.filter(
    kind => kind.optional !== true && kind.version() !== undefined && (brokers === undefined || brokers.includes(kind.name)),
  )
  const tables: string[] = []
  for (const one of chosen) {
    const subjects = kinds.filter(({ name }) => one.workload.kind !== 'shared' || name !== 'aedes').flatMap(subjectsOf)
    const found = new Map<string, Run[]>()
    for (let round = 0; round < rounds; round++) {
      for (const subject of subjects) {
        const run = await measure(subject, one)
        console.error(`${one.id} ${round + 1} ${subject.name}: ${run.cpuMicros.toFixed(1)} µs, ${Math.round(run.perSecond)}/s`)
        found.set(subject.name, [...(found.get(subject.name) ?? []), run])
      }
    }
    tables.push(tableOf(one, found))
    console.log(`\n${tables.at(-1)}`)
  }
  if (write) writeBelow('benchmarks-mqttbs.md', 'mqttbs --write', kinds, rounds, tables.join('\n\n'))
}

function subjectsOf(kind: BrokerKind): Subject[] {
  const single: Subject = { name: kind.name, start: () => startBroker(kind) }
  if (kind !== brokerKinds[0]) return [single]
  return [single, { name: `${kind.name}, ${workers} workers`, start: () => BenchBroker.start(workers) }]
}

async function measure(subject: Subject, { workload, warmUp }: SuiteCase): Promise<Run> {
  const broker = await subject.start()
  let load: LoadProcess | undefined
  try {
    load = await LoadProcess.open(broker.port, workload)
    if (warmUp > 0) await load.run(warmUp)
    const before = cpuSecondsOfAll(broker.pid)
    const { messages, seconds, mean, p99 } = await load.run(workload.messages)
    const cpu = cpuSecondsOfAll(broker.pid) - before
    return {
      cpuMicros: (cpu * 1e6) / messages,
      perSecond: messages / seconds,
      brokerCpu: cpu / seconds,
      mean: mean ?? null,
      p99,
      memoryMiB: processesOf(broker.pid).reduce((sum, pid) => sum + memory(pid).now, 0),
    }
  } finally {
    load?.stop()
    await broker.stop()
  }
}

/** Ours and others' measured here, and below them what others have published: another machine, another network, so only the cost of one says much. */
function tableOf({ title, workload, published }: SuiteCase, found: ReadonlyMap<string, readonly Run[]>): string {
  const connects = workload.kind === 'connect'
  const each = connects ? 'connection' : 'message'
  const lines = [
    `**${title}**`,
    '',
    `| broker | ${each}s/s | CPU µs a ${each} | ${each}s/s per core | mean latency ms | p99 ms | memory MiB |`,
    '|---|--:|--:|--:|--:|--:|--:|',
  ]
  for (const [name, runs] of found) {
    const value = (key: keyof Run): number => median(runs.map(run => run[key]).filter(one => one !== null))
    const micros = value('cpuMicros')
    lines.push(
      `| ${name} | ${count(value('perSecond'))} | ${micros.toFixed(1)} | ${count(1e6 / micros)} | ${millis(value('mean'))} | ${millis(value('p99'))} | ${count(value('memoryMiB'))} |`,
    )
  }
  for (const figure of published) lines.push(publishedRow(figure))
  return lines.join('\n')
}

function publishedRow({ broker, perSecond, cores, latencyMs, memoryMiB }: PublishedFigure): string {
  const known = perSecond !== null && cores !== null
  const cells = [
    `${broker}, published`,
    perSecond === null ? '' : count(perSecond),
    known ? ((cores * 1e6) / perSecond).toFixed(1) : '',
    known ? count(perSecond / cores) : '',
    latencyMs?.toFixed(2) ?? '',
    '',
    count(memoryMiB),
  ]
  return `| ${cells.join(' | ')} |`
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

function millis(micros: number): string {
  return Number.isNaN(micros) ? '' : (micros / 1000).toFixed(2)
}
