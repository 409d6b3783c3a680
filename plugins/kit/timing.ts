import type { Clock } from '../../core/time/clock.ts'
import type { Figure, Sample } from './figures.ts'

/** Upper bounds of the buckets, in seconds: from what a store in memory takes to what a client waits for its acknowledgement. */
const bounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const

/** How long something takes: a sample of it, in buckets as Prometheus has them. */
export class Timing {
  readonly #clock: Pick<Clock, 'now'>
  readonly #every: number
  readonly #counts: number[]
  #left: number
  #sum: number
  #count: number

  /** `every`: one of so many is timed. */
  constructor(clock: Pick<Clock, 'now'>, every = 1) {
    this.#clock = clock
    this.#every = every
    this.#left = every
    this.#counts = bounds.map(() => 0)
    this.#sum = 0
    this.#count = 0
  }

  /** Times it, if it is this one's turn, from now until it is settled. */
  follow(done: Promise<unknown>): void {
    this.#left -= 1
    if (this.#left > 0) return
    this.#left = this.#every
    const began = this.#clock.now()
    const settled = (): void => this.add((this.#clock.now() - began) / 1000)
    done.then(settled, settled)
  }

  /** Counts one that took so many seconds. */
  add(seconds: number): void {
    const at = bounds.findIndex(bound => seconds <= bound)
    if (at !== -1) this.#counts[at]! += 1
    this.#sum += seconds
    this.#count += 1
  }

  /** The figure that shows it. */
  figure(name: string, help: string): Figure {
    return { name, help, type: 'histogram', read: () => this.#samples() }
  }

  #samples(): Sample[] {
    let below = 0
    const buckets = bounds.map((bound, i) => ({
      part: 'bucket' as const,
      value: (below += this.#counts[i]!),
      labels: { le: String(bound) },
    }))
    return [
      ...buckets,
      { part: 'bucket', value: this.#count, labels: { le: '+Inf' } },
      { part: 'sum', value: this.#sum },
      { part: 'count', value: this.#count },
    ]
  }
}
