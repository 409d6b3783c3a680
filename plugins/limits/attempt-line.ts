import type { Client } from '../../core/connection/client.ts'
import type { Clock, Timer } from '../../core/time/clock.ts'

/** Milliseconds for which a failed attempt counts. */
export const windowMs = 60_000

/** How many attempts may fail, and how many are looked at, of those that are counted together. */
export interface AttemptPace {
  /** So many that have failed within a minute slow the next ones. */
  readonly failuresMax: number
  /** Then one is looked at in so many milliseconds. */
  readonly paceMs: number
  /** So many wait for that; more are turned away unasked. */
  readonly slowedMax: number
  /** So many wait where nothing is slowed: a whole fleet may be one. */
  readonly waitingMax: number
  /** So many are looked at side by side: as many guesses may still be on their way when the last of `failuresMax` has failed. */
  readonly underwayMax: number
}

interface WaitingAttempt {
  readonly client: Client
  resolve(asked: boolean): void
}

/** Attempts to connect that are counted together: those of one user from one address, or all from one address. */
export class AttemptLine {
  readonly #clock: Clock
  readonly #pace: AttemptPace
  /** Called where nothing is under way, nothing waits and nothing is remembered. */
  readonly #idle: () => void
  // When the last attempts failed, at most `failuresMax`, oldest first.
  readonly #failures: number[]
  #underway: number
  #waiting: WaitingAttempt[]
  // Of those whose password was right before: they wait for a place, and for no pace.
  #waitingProven: WaitingAttempt[]
  #timer: Timer | null
  /** When it was last said that this line is slowed. */
  warnedAt: number

  constructor(clock: Clock, pace: AttemptPace, idle: () => void) {
    this.#clock = clock
    this.#pace = pace
    this.#idle = idle
    this.#failures = []
    this.#underway = 0
    this.#waiting = []
    this.#waitingProven = []
    this.#timer = null
    this.warnedAt = Number.NEGATIVE_INFINITY
  }

  /** So many attempts have failed within the last minute that the next ones are slowed. */
  get slowed(): boolean {
    return this.#failures.length === this.#pace.failuresMax && this.#clock.now() - this.#failures[0]! < windowMs
  }

  /** An attempt is under way or waits. */
  get busy(): boolean {
    return this.#underway > 0 || this.#waiting.length > 0 || this.#waitingProven.length > 0
  }

  /** The same as `enter` for a client whose password was right before: no failures of others slow it, but it takes a place like any other. */
  enterProven(client: Client): true | Promise<boolean> {
    if (this.#underway < this.#pace.underwayMax) {
      this.#underway += 1
      return true
    }
    if (this.#waitingProven.length >= this.#pace.waitingMax) return Promise.resolve(false)
    return new Promise(resolve => void this.#waitingProven.push({ client, resolve }))
  }

  /** True when the client may be asked who it is, now or later, and then `leave`; false: too many wait before it, or it has gone. */
  enter(client: Client): true | Promise<boolean> {
    const { slowed } = this
    if (!slowed && this.#waiting.length === 0 && this.#underway < this.#pace.underwayMax) {
      this.#underway += 1
      return true
    }
    const max = slowed ? this.#pace.slowedMax : this.#pace.waitingMax
    if (this.#waiting.length >= max) {
      // Those who did not wait for their turn leave room.
      for (const { resolve } of this.#waiting.filter(waiting => !isThere(waiting))) resolve(false)
      this.#waiting = this.#waiting.filter(isThere)
      if (this.#waiting.length >= max) return Promise.resolve(false)
    }
    return new Promise(resolve => {
      this.#waiting.push({ client, resolve })
      if (slowed) this.#keepPace()
    })
  }

  /** What became of one that had entered is known. */
  leave(): void {
    this.#underway -= 1
    this.#letIn()
    this.#forgetIdle()
  }

  /** An attempt has failed. Called before `leave`. */
  failed(): void {
    this.#failures.push(this.#clock.now())
    if (this.#failures.length > this.#pace.failuresMax) this.#failures.shift()
    if (this.slowed) for (const { resolve } of this.#waiting.splice(this.#pace.slowedMax)) resolve(false)
  }

  #letIn(): void {
    while (this.#waitingProven.length > 0 && this.#underway < this.#pace.underwayMax) this.#next(this.#waitingProven)
    if (this.slowed) {
      if (this.#waiting.length > 0) this.#keepPace()
      return
    }
    while (this.#waiting.length > 0 && this.#underway < this.#pace.underwayMax) this.#next(this.#waiting)
  }

  // The first that is still there.
  #next(line: WaitingAttempt[]): void {
    for (let waiting = line.shift(); waiting !== undefined; waiting = line.shift()) {
      if (!isThere(waiting)) {
        waiting.resolve(false)
        continue
      }
      this.#underway += 1
      waiting.resolve(true)
      return
    }
  }

  #keepPace(): void {
    this.#timer ??= this.#clock.after(this.#pace.paceMs, () => {
      this.#timer = null
      this.#next(this.#waiting)
      this.#letIn()
      this.#forgetIdle()
    })
  }

  #forgetIdle(): void {
    if (!this.busy && !(this.#clock.now() - (this.#failures.at(-1) ?? Number.NEGATIVE_INFINITY) < windowMs)) this.#idle()
  }
}

function isThere({ client }: WaitingAttempt): boolean {
  return !client.closed
}
