import { readFileSync, writeFileSync } from 'node:fs'
import { cpus, release } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { BrokerKind } from './brokers.ts'
import type { Scenario } from './scenarios.ts'

/** One run of one broker. */
export interface Measured {
  scenario: string
  broker: string
  /** The broker's user and system time over the messages. */
  cpuMicros: number
  perSecond: number
  /** Shares of one core. */
  brokerCpu: number
  loadCpu: number
  /** Microseconds. */
  p50: number | null
  p99: number | null
  peakMiB: number
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  if (sorted.length === 0) return Number.NaN
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** A markdown table of medians: the broker's processor time first, since it is what a load generator's limits do not touch. */
export function tableOf(scenarios: readonly Scenario[], brokers: readonly BrokerKind[], measured: readonly Measured[]): string {
  const ours = brokers[0]!.name
  const lines = [
    '| scenario | broker | CPU µs/msg | least–most | of ours | msg/s | p50 µs | p99 µs | peak MiB | broker CPU | load CPU |',
    '|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|',
  ]
  for (const { id, title, workload } of scenarios) {
    const of = (broker: string): Measured[] => measured.filter(one => one.scenario === id && one.broker === broker)
    const own = median(of(ours).map(one => one.cpuMicros))
    for (const { name } of brokers) {
      const runs = of(name)
      if (runs.length === 0) continue
      const value = (key: keyof Measured): number => median(runs.map(one => one[key]).filter(found => typeof found === 'number'))
      const cell = (key: keyof Measured): string => (Number.isNaN(value(key)) ? '' : count(value(key)))
      const micros = runs.map(one => one.cpuMicros)
      const spread = `${Math.min(...micros).toFixed(2)}–${Math.max(...micros).toFixed(2)}`
      // Where the load process was busy all the time and the broker was not, the rate is the load's; a paced load spins by design.
      const limited = workload.rate === 0 && value('loadCpu') > 0.9 && value('brokerCpu') < 0.9 ? ' (the load was the limit)' : ''
      lines.push(
        `| ${title} | ${name} | ${value('cpuMicros').toFixed(2)} | ${spread} | ${(value('cpuMicros') / own).toFixed(2)} | ${count(value('perSecond'))}${limited} | ${cell('p50')} | ${cell('p99')} | ${count(value('peakMiB'))} | ${percent(value('brokerCpu'))} | ${percent(value('loadCpu'))} |`,
      )
    }
  }
  return lines.join('\n')
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}

/** Puts the table, with versions, machine and date, below the text of docs/benchmarks.md. */
export function writeReport(scenarios: readonly Scenario[], brokers: readonly BrokerKind[], measured: readonly Measured[]): void {
  const rounds = measured.filter(one => one.scenario === scenarios[0]!.id && one.broker === brokers[0]!.name).length
  writeBelow('benchmarks.md', '--write', brokers, rounds, tableOf(scenarios, brokers, measured))
}

/** Puts what a bench has shown below the text of a page of docs/, where it says that a bench with these arguments writes on. */
export function writeBelow(
  page: string,
  args: string,
  brokers: readonly Pick<BrokerKind, 'name' | 'version'>[],
  rounds: number,
  tables: string,
): void {
  const file = fileURLToPath(new URL(`../../docs/${page}`, import.meta.url))
  const marker = `<!-- what follows is written by npm run bench -- ${args} -->`
  const text = readFileSync(file, 'utf8')
  const head = text.slice(0, text.indexOf(marker) + marker.length)
  const versions = brokers.map(kind => `${kind.name} ${kind.version()}`).join(', ')
  const where = `${versions}; Node ${process.version}, Linux ${release()}, ${cpus().length} × ${cpus()[0]?.model}; ${new Date().toISOString().slice(0, 10)}; medians of ${rounds} alternating runs.`
  writeFileSync(file, `${head}\n\n${where}\n\n${tables}\n`)
}
