import type { Clock, Timer } from '../../core/time/clock.ts'

/** How many may be in at once, and how long others wait. */
export interface LimiterOptions {
  /** The time, which tests can move. */
  readonly clock: Clock
  /** How many run side by side. */
  readonly concurrent: number
  /** How many wait for their turn. */
  readonly waiting: number
  /** Milliseconds that one waits at most. */
  readonly waitMs: number
}

interface Waiter {
  resolve(entered: boolean): void
  timer: Timer
}

/** Lets so many in at once; others wait in line, so many and so long at most, and then are turned away. */
export class Limiter {
  readonly #options: LimiterOptions
  // A set, so that one that has waited too long leaves from the middle as cheaply as from the front.
  readonly #line: Set<Waiter>
  #running: number

  constructor(options: LimiterOptions) {
    this.#options = options
    this.#line = new Set()
    this.#running = 0
  }

  /** True: in, and `leave` must be called. False: turned away. */
  enter(): boolean | Promise<boolean> {
    const { clock, concurrent, waiting, waitMs } = this.#options
    if (this.#running < concurrent) {
      this.#running += 1
      return true
    }
    if (this.#line.size >= waiting) return false
    return new Promise(resolve => {
      const waiter: Waiter = {
        resolve,
        timer: clock.after(waitMs, () => {
          this.#line.delete(waiter)
          resolve(false)
        }),
      }
      this.#line.add(waiter)
    })
  }

  /** One is done: who has waited longest comes in. */
  leave(): void {
    for (const next of this.#line) {
      this.#line.delete(next)
      next.timer.cancel()
      next.resolve(true)
      return
    }
    this.#running -= 1
  }
}
