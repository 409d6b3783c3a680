import { Fifo } from '../fifo.ts'
import type { Clock } from '../time/clock.ts'

/**
 * Long work of one client goes on a slice at a time, and only one slice of anybody's in each turn of the event loop: a
 * hundred clients that subscribe to a thousand filters each at once hold the others up for one slice, not for all of them.
 */
export class Turns {
  readonly #clock: Pick<Clock, 'turn'>
  // At most one for each client, since what stands behind a packet waits for it.
  readonly #waiting = new Fifo<() => void>()
  readonly #run = (): void => {
    const next = this.#waiting.shift()
    if (this.#waiting.length > 0) this.#clock.turn(this.#run)
    next?.()
  }

  constructor(clock: Pick<Clock, 'turn'>) {
    this.#clock = clock
  }

  /** Resolves when it is this caller's turn to do its next slice. */
  next(): Promise<void> {
    return new Promise(resolve => {
      this.#waiting.push(resolve)
      if (this.#waiting.length === 1) this.#clock.turn(this.#run)
    })
  }
}

/** Lets so many through in each turn of the event loop; the others come in the next ones, in order. */
export class Gate {
  readonly #clock: Pick<Clock, 'turn'>
  readonly #perTurn: number
  #passed = 0
  #scheduled = false
  // At most one for each connection.
  readonly #waiting = new Fifo<() => void>()
  readonly #turn = (): void => {
    this.#scheduled = false
    this.#passed = 0
    while (this.#waiting.length > 0 && this.#passed < this.#perTurn) {
      this.#passed += 1
      this.#waiting.shift()!()
    }
    if (this.#passed > 0) this.#schedule()
  }

  constructor(clock: Pick<Clock, 'turn'>, perTurn: number) {
    this.#clock = clock
    this.#perTurn = perTurn
  }

  /** `undefined`: go on at once. */
  pass(): Promise<void> | undefined {
    if (this.#passed < this.#perTurn && this.#waiting.length === 0) {
      this.#passed += 1
      this.#schedule()
      return undefined
    }
    return new Promise(resolve => this.#waiting.push(resolve))
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#clock.turn(this.#turn)
  }
}

/** Filters that are subscribed to, or unsubscribed from, in one turn: some 0.4 ms. */
export const filtersPerTurn = 128

/** What is done with many filters, done to a slice of them in each turn; with few, at once. */
export async function inTurns<T>(turns: Turns, filters: readonly T[], step: (slice: readonly T[]) => void): Promise<void> {
  if (filters.length <= filtersPerTurn) return step(filters)
  for (let from = 0; from < filters.length; from += filtersPerTurn) {
    await turns.next()
    step(filters.slice(from, from + filtersPerTurn))
  }
}

/** Has a store keep something of many filters in the same way; rejects with the first failure when all have been handed to it. */
export async function keptInTurns<T>(
  turns: Turns,
  filters: readonly T[],
  write: (slice: readonly T[]) => void | Promise<void>,
): Promise<void> {
  const done: (void | Promise<void>)[] = []
  await inTurns(turns, filters, slice => {
    const kept = write(slice)
    // Looked at below, with the rest; until then a failure is nobody's unhandled rejection.
    kept?.catch(() => {})
    done.push(kept)
  })
  await Promise.all(done)
}
