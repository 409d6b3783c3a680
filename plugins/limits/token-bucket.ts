import type { Clock } from '../../core/time/clock.ts'

/** Where a bucket gets its time: the broker, whose `now` is a field and at most a quarter of a second old, and its clock. */
export interface Time {
  readonly now: number
  readonly clock: Clock
}

/**
 * So many a second on average, so many at once. It is asked for each message, so it looks at the exact time only when it is empty;
 * between, the coarse one is good enough. A jump of the clock fills it, at most.
 */
export class TokenBucket {
  readonly #time: Time
  readonly #perMs: number
  readonly #burst: number
  #level: number
  // Filled up to here.
  #at: number
  #seen: number

  constructor(time: Time, perSecond: number, burst: number) {
    this.#time = time
    this.#perMs = perSecond / 1000
    this.#burst = burst
    this.#level = burst
    this.#at = time.clock.now()
    this.#seen = time.now
  }

  /** Takes, into debt if need be; false: it is in debt now. Whoever keeps within its rate never is. */
  take(amount: number): boolean {
    const { now } = this.#time
    if (now !== this.#seen) {
      this.#seen = now
      this.#fill(now)
    }
    if (this.#level < amount) this.#fill(this.#time.clock.now())
    this.#level -= amount
    return this.#level >= 0
  }

  /** Whether there is anything left to take. */
  get open(): boolean {
    if (this.#level >= 1) return true
    this.#fill(this.#time.clock.now())
    return this.#level >= 1
  }

  /** Takes if there is anything left, and says whether there was. One that is larger than what is left leaves a debt. */
  tryTake(amount: number): boolean {
    if (!this.open) return false
    this.take(amount)
    return true
  }

  /** Milliseconds until there is enough again to be worth a turn: what comes in in `sliceMs`, but one at least. */
  wait(sliceMs: number): number {
    const enough = Math.min(this.#burst, Math.max(1, this.#perMs * sliceMs))
    return Math.max(0, Math.ceil((enough - this.#level) / this.#perMs))
  }

  /** Nobody has taken anything for so long that a new one would be the same. */
  get full(): boolean {
    this.#fill(this.#time.clock.now())
    return this.#level >= this.#burst
  }

  #fill(now: number): void {
    const elapsed = now - this.#at
    if (elapsed <= 0) return
    this.#at = now
    this.#level = Math.min(this.#burst, this.#level + elapsed * this.#perMs)
  }
}
