import { LineThrottle } from '../line-throttle.ts'
import type { Log } from '../log.ts'
import type { Clock } from '../time/clock.ts'
import { MessageRefusedError, StoreAwayError, StoreFullError } from './session-store.ts'

// A store that is away fails for every client at once.
const quietMs = 1000

/** What is used of the broker here. */
export interface StoreTroublesHost {
  readonly log: Log
  readonly clock: Clock
}

/**
 * Says what the stores could not do. That a store is away or full is a state that ends by itself, which its owner reports: here it is
 * one line a second at most, with how often it was not said.
 */
export class StoreTroubles {
  readonly #log: Log
  readonly #lines: LineThrottle

  constructor({ log, clock }: StoreTroublesHost) {
    this.#log = log
    this.#lines = new LineThrottle(clock, { everyMs: quietMs })
  }

  /** Says it, and returns true, where the error is of that kind. */
  say(error: unknown): boolean {
    if (!(error instanceof StoreAwayError || error instanceof StoreFullError || error instanceof MessageRefusedError)) return false
    const count = this.#lines.pass(error.code)
    if (count > 0) this.#log.warn({ code: error.code, alsoFailed: count - 1 }, `the store did not do what it was asked: ${error.message}`)
    return true
  }
}
