import type { Log } from './log.ts'
import type { Clock, Timer } from './time/clock.ts'

const intervalMs = 10_000
const wholeMax = 20
const kindsMax = 100
const others = 'other failures'

interface Kind {
  whole: number
  more: number
}

/**
 * Keeps what fails at each message from filling the log: in each ten seconds the first twenty failures of a kind are logged whole, and
 * of the rest one line says how many there were.
 */
export class RepeatedErrors {
  readonly #clock: Clock
  readonly #log: Log
  readonly #kinds = new Map<string, Kind>()
  #timer: Timer | null = null

  constructor(clock: Clock, log: Log) {
    this.#clock = clock
    this.#log = log
  }

  /** Whether this one is to be logged whole. A kind must not be named by what clients say. */
  admits(name: string): boolean {
    const kind = this.#kinds.get(name) ?? this.#begin(this.#kinds.size < kindsMax ? name : others)
    if (kind.whole < wholeMax) {
      kind.whole += 1
      return true
    }
    kind.more += 1
    return false
  }

  #begin(name: string): Kind {
    const known = this.#kinds.get(name)
    if (known !== undefined) return known
    const kind = { whole: 0, more: 0 }
    this.#kinds.set(name, kind)
    this.#timer ??= this.#clock.after(intervalMs, () => this.tell())
    return kind
  }

  /** Says how many were left out, and begins anew. */
  tell(): void {
    this.#timer?.cancel()
    this.#timer = null
    for (const [name, { more }] of this.#kinds) {
      if (more > 0) this.#log.error({ count: more }, `${name}: ${more} more like those before, in ${intervalMs / 1000} s`)
    }
    this.#kinds.clear()
  }
}
