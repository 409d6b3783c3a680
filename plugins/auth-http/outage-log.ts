import type { Log } from '../../core/log.ts'
import type { Clock } from '../../core/time/clock.ts'
import { LineThrottle } from '../kit/line-throttle.ts'

/** Says that the service fails, and that it no longer does, in few lines: while it fails, so does every client that comes. */
export class OutageLog {
  readonly #log: Log
  readonly #clock: Clock
  readonly #lines: LineThrottle
  /** When the outage began; null: there is none. */
  #since: number | null

  constructor(log: Log, clock: Clock) {
    this.#log = log
    this.#clock = clock
    this.#lines = new LineThrottle(clock, { everyMs: 10_000 })
    this.#since = null
  }

  failed(why: string): void {
    this.#since ??= this.#clock.now()
    const count = this.#lines.pass('failure')
    if (count > 0) this.#log.warn({ count }, `the authentication service fails: ${why}`)
  }

  answered(): void {
    if (this.#since === null) return
    const seconds = Math.round((this.#clock.now() - this.#since) / 1000)
    this.#since = null
    this.#lines.forget('failure')
    this.#log.info(`the authentication service answers again, after ${seconds} s`)
  }
}
