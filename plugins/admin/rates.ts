import { type IntervalHistogram, monitorEventLoopDelay, performance } from 'node:perf_hooks'
import type { Broker } from '../../core/broker.ts'
import type { Clock, Timer } from '../../core/time/clock.ts'
import { defineVerb } from '../kit/verbs/define-verb.ts'
import type { RateRow } from './answers.ts'
import { type RateFigure, rateFigures } from './rate-figures.ts'
import { ratesVerb } from './verbs.ts'

const rowsMax = 200
const sampleMs = 3000
// Each keeps 200 rows: ten minutes, an hour, a day.
const samplesPerRow = { '10m': 1, '1h': 6, '24h': 144 } as const

// Native, so that nothing of ours runs between samples.
const lagResolutionMs = 50

type Figures = Pick<RateRow, RateFigure>
type Totals = ReturnType<typeof totalsOf>

/** What has come and gone: counters are read every 3 s, and three rings of 200 rows are kept of it, 60 kB in all. */
export class Rates {
  readonly #broker: Broker
  readonly #clock: Clock
  readonly #lag: IntervalHistogram
  readonly #rings = Object.fromEntries(Object.entries(samplesPerRow).map(([span, samples]) => [span, new Ring(samples)]))
  #before: Totals
  #timer: Timer | null = null

  constructor(broker: Broker, clock: Clock) {
    this.#broker = broker
    this.#clock = clock
    this.#lag = monitorEventLoopDelay({ resolution: lagResolutionMs })
    this.#before = totalsOf(broker, clock)
    broker.verbs.add(
      defineVerb(broker, ratesVerb, {
        run: (_broker, { span, limit, since }) => ({
          rows: this.#rings[span]!.rows(limit, since ?? 0).map(row => ({ ...row, node: broker.verbs.node })),
          everyMs: sampleMs * samplesPerRow[span],
        }),
        merge: (parts, missing) => {
          const answers = parts.map(({ answer }) => answer as { rows: RateRow[]; everyMs: number })
          const rows = answers.flatMap(answer => answer.rows).sort((a, b) => a.at - b.at)
          return { rows, everyMs: answers[0]?.everyMs ?? sampleMs, ...(missing.length > 0 ? { missing } : {}) }
        },
      }),
    )
  }

  start(): void {
    this.#lag.enable()
    this.#before = totalsOf(this.#broker, this.#clock)
    this.#timer = this.#clock.every(sampleMs, () => this.#sample())
  }

  stop(): void {
    this.#timer?.cancel()
    this.#lag.disable()
  }

  #sample(): void {
    const before = this.#before
    const after = totalsOf(this.#broker, this.#clock)
    this.#before = after
    const seconds = (after.at - before.at) / 1000
    if (seconds <= 0) return
    const rate = (of: keyof Totals): number => Math.max(0, (after[of] - before[of]) / seconds)
    const active = after.active - before.active
    const idle = after.idle - before.idle
    const figures: Figures = {
      received: rate('received'),
      sent: rate('sent'),
      bytesIn: rate('bytesIn'),
      bytesOut: rate('bytesOut'),
      dropped: rate('dropped'),
      refused: rate('refused'),
      connects: rate('connects'),
      connections: this.#broker.counters.connected,
      busyPercent: active + idle > 0 ? (active / (active + idle)) * 100 : 0,
      lagMs: Math.max(0, this.#lag.max / 1e6 - lagResolutionMs),
      cpuPercent: rate('cpuMs') / 10,
      rss: process.memoryUsage.rss(),
    }
    this.#lag.reset()
    const at = Math.round(after.at)
    for (const ring of Object.values(this.#rings)) ring.add(at, figures)
  }
}

function totalsOf({ counters }: Broker, clock: Clock) {
  const { active, idle } = performance.eventLoopUtilization()
  const { user, system } = process.cpuUsage()
  let refused = counters.connectionsRefused + counters.subscriptionsRefused
  for (const count of Object.values(counters.refusedPublishes)) refused += count
  return {
    at: clock.now(),
    received: counters.publishReceived,
    sent: counters.publishSent,
    bytesIn: counters.bytesReceived,
    bytesOut: counters.bytesSent,
    dropped: counters.droppedTotal,
    refused,
    connects: counters.connections,
    active,
    idle,
    cpuMs: (user + system) / 1000,
  }
}

// Of several samples the last, or the greatest, is what a row says; of all others the mean.
const lasts: ReadonlySet<RateFigure> = new Set(['connections', 'rss'])
const greatest: ReadonlySet<RateFigure> = new Set(['lagMs'])

/** The last 200 rows of one span, in plain numbers. */
class Ring {
  readonly #samples: number
  readonly #values = new Float64Array(rowsMax * (rateFigures.length + 1))
  readonly #sum = new Float64Array(rateFigures.length)
  #taken = 0
  #count = 0

  /** `samples`: how many make a row. */
  constructor(samples: number) {
    this.#samples = samples
  }

  add(at: number, figures: Figures): void {
    for (const [i, name] of rateFigures.entries()) {
      const value = figures[name]
      const sum = this.#sum[i]!
      this.#sum[i] = lasts.has(name) ? value : greatest.has(name) ? Math.max(sum, value) : sum + value / this.#samples
    }
    if (++this.#taken < this.#samples) return
    const start = (this.#count % rowsMax) * (rateFigures.length + 1)
    this.#values[start] = at
    this.#values.set(this.#sum, start + 1)
    this.#count += 1
    this.#taken = 0
    this.#sum.fill(0)
  }

  /** The newest rows behind a time, the oldest of them first. */
  rows(limit: number, since: number): (Figures & { readonly at: number })[] {
    const found: (Figures & { readonly at: number })[] = []
    for (let back = Math.min(limit, this.#count, rowsMax); back > 0; back--) {
      const start = ((this.#count - back) % rowsMax) * (rateFigures.length + 1)
      const at = this.#values[start]!
      if (at <= since) continue
      const row: Record<string, number> = { at }
      for (const [i, name] of rateFigures.entries()) row[name] = Math.round(this.#values[start + 1 + i]! * 10) / 10
      found.push(row as unknown as Figures & { readonly at: number })
    }
    return found
  }
}
