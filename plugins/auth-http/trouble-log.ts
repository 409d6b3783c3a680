import type { Log } from '../../core/log.ts'
import type { Clock } from '../../core/time/clock.ts'

const everyMs = 10_000

/** Says that the service fails, and that it no longer does, in few lines: with it, every client that comes fails. */
export class TroubleLog {
  readonly #log: Log
  readonly #clock: Clock
  #since: number | null
  #saidAt: number
  #count: number

  constructor(log: Log, clock: Clock) {
    this.#log = log
    this.#clock = clock
    this.#since = null
    this.#saidAt = 0
    this.#count = 0
  }

  note(what: string): void {
    const now = this.#clock.now()
    this.#count += 1
    if (this.#since !== null && now - this.#saidAt < everyMs) return
    this.#since ??= now
    this.#saidAt = now
    this.#log.warn({ count: this.#count }, `the authentication service fails: ${what}`)
    this.#count = 0
  }

  over(): void {
    if (this.#since === null) return
    const seconds = Math.round((this.#clock.now() - this.#since) / 1000)
    this.#since = null
    this.#count = 0
    this.#log.info(`the authentication service answers again, after ${seconds} s`)
  }
}
