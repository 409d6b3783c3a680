import { LoadProcess } from '../load/load-process.ts'
import { runMqload } from '../load/mqload.ts'
import type { LoadResult, Workload } from '../load/workload.ts'
import { median } from '../report.ts'
import { BenchBroker } from './broker.ts'

export interface WorkersOptions {
  /** Rows whose id begins so; default all. */
  readonly only?: readonly string[] | undefined
  readonly rounds: number
  /** The load generator in C; absent: the one in TypeScript. */
  readonly mqload?: string | undefined
}

interface Row {
  readonly id: string
  readonly title: string
  /** For so many workers; connections come in turn, so the number of subscribers says whether a pair is at one worker. */
  workload(workers: number): Workload
  readonly warmUp: number
}

interface Run {
  readonly micros: number
  /** The share of pairs whose publisher and subscriber are at different workers; null: it is no matter of pairs. */
  readonly crossing: number | null
}

const workerCounts = [2, 4] as const
const base: Workload = {
  kind: 'pairs',
  publishers: 40,
  subscribers: 40,
  messages: 10_000,
  payload: 64,
  qos: 0,
  window: 20,
  rate: 0,
  cleanSession: true,
  inTurn: true,
}
const levels = [0, 1, 2] as const

// Four workers are a multiple of two: with 40 pairs each publisher comes to where its subscriber is, with 41 to the next one.
const rows: readonly Row[] = [
  ...levels.map(
    (qos): Row => ({
      id: `same-q${qos}`,
      title: `40 pairs, QoS ${qos}, both at one worker`,
      warmUp: 5000,
      workload: () => ({ ...base, qos, messages: qos === 0 ? 20_000 : 8000 }),
    }),
  ),
  ...levels.map(
    (qos): Row => ({
      id: `cross-q${qos}`,
      title: `41 pairs, QoS ${qos}, at two workers each`,
      warmUp: 5000,
      workload: () => ({ ...base, publishers: 41, subscribers: 41, qos, messages: qos === 0 ? 20_000 : 8000 }),
    }),
  ),
  ...([0, 1] as const).map(
    (qos): Row => ({
      id: `fan-out-q${qos}`,
      title: `fan-out 1 to 1000, QoS ${qos}`,
      warmUp: 100,
      workload: () => ({ ...base, kind: 'fanOut', publishers: 1, subscribers: 1000, qos, messages: 600 }),
    }),
  ),
  ...([0, 1] as const).map(
    (qos): Row => ({
      id: `fan-in-q${qos}`,
      title: `fan-in 200 to 1, QoS ${qos}`,
      warmUp: 500,
      workload: () => ({ ...base, kind: 'fanIn', publishers: 200, subscribers: 1, qos, messages: 1500 }),
    }),
  ),
  {
    id: 'shared-q1',
    title: 'shared group, 100 to 10, QoS 1',
    warmUp: 300,
    workload: () => ({ ...base, kind: 'shared', publishers: 100, subscribers: 10, qos: 1, messages: 2000 }),
  },
]

/** What several workers cost beside one process: all on one core, in processor time of all processes of the broker for each delivery. */
export async function runWorkers({ only, rounds, mqload }: WorkersOptions): Promise<void> {
  const chosen = rows.filter(({ id }) => only === undefined || only.some(start => id.startsWith(start)))
  const head = workerCounts.map(count => `${count} workers | of one | crossing`)
  const lines = [`| | one process | ${head.join(' | ')} |`, `|---|--:|${workerCounts.map(() => '--:|--:|--:|').join('')}`]
  for (const row of chosen) {
    const found = new Map<number, Run[]>()
    for (let round = 0; round < rounds; round++) {
      const order = [1, ...workerCounts]
      for (let i = 0; i < order.length; i++) {
        const workers = order[(round + i) % order.length]!
        const run = await measure(row, workers, mqload)
        console.error(`${row.id} ${round + 1}, ${workers} processes: ${run.micros.toFixed(2)} µs`)
        found.set(workers, [...(found.get(workers) ?? []), run])
      }
    }
    lines.push(lineOf(row, found))
  }
  console.log(`µs of processor time a delivery, least (median) of ${rounds}; "of one": the ratio of the least, of the medians\n`)
  console.log(lines.join('\n'))
}

function lineOf({ title }: Row, found: ReadonlyMap<number, readonly Run[]>): string {
  const micros = (workers: number): number[] => found.get(workers)!.map(run => run.micros)
  const least = (workers: number): number => Math.min(...micros(workers))
  const shown = (workers: number): string => `${least(workers).toFixed(2)} (${median(micros(workers)).toFixed(2)})`
  const cells = workerCounts.map(count => {
    const ratio = `${(least(count) / least(1)).toFixed(2)} (${(median(micros(count)) / median(micros(1))).toFixed(2)})`
    const [{ crossing }] = found.get(count) as [Run]
    return `${shown(count)} | ${ratio} | ${crossing === null ? '' : `${Math.round(crossing * 100)} %`}`
  })
  return `| ${title} | ${shown(1)} | ${cells.join(' | ')} |`
}

async function measure(row: Row, workers: number, mqload: string | undefined): Promise<Run> {
  const workload = row.workload(workers)
  const broker = await BenchBroker.start(workers)
  let load: LoadProcess | undefined
  try {
    let run: (messages: number) => Promise<LoadResult>
    let crossing: number | null = null
    if (mqload === undefined) {
      const own = await LoadProcess.open(broker.port, workload)
      load = own
      run = messages => own.run(messages)
      if (workload.kind === 'pairs' && workers > 1) crossing = crossingOf(await broker.workersOf())
    } else {
      run = messages => runMqload(mqload, broker, workload, messages)
    }
    // Each of them compiles what is hot by itself.
    await run(row.warmUp * workers)
    const before = broker.cpu
    const result = await run(workload.messages)
    return { micros: ((result.brokerCpuSeconds ?? broker.cpu - before) * 1e6) / result.messages, crossing }
  } finally {
    load?.stop()
    await broker.stop()
  }
}

function crossingOf(workers: ReadonlyMap<string, string>): number {
  const publishers = [...workers].filter(([id]) => id.startsWith('bench-pub-'))
  const crossing = publishers.filter(([id, worker]) => workers.get(id.replace('pub', 'sub')) !== worker)
  return crossing.length / publishers.length
}
