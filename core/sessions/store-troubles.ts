import type { Broker } from '../broker.ts'
import { LineThrottle } from '../line-throttle.ts'
import { StoreAwayError, StoreFullError } from './session-store.ts'

// A store that is away fails for every client at once.
const quietMs = 1000

/**
 * Says what the stores could not do. That a store is away or full is a state that ends by itself, which its owner reports: here it is
 * one line a second at most, with how often it was not said. Anything else is an error like any other.
 */
export class StoreTroubles {
  readonly #broker: Broker
  readonly #lines: LineThrottle

  constructor(broker: Broker) {
    this.#broker = broker
    this.#lines = new LineThrottle(broker.clock, { everyMs: quietMs })
  }

  say(error: unknown): void {
    const broker = this.#broker
    if (!(error instanceof StoreAwayError || error instanceof StoreFullError)) {
      broker.report(error instanceof Error ? error : new Error(String(error)))
      return
    }
    const count = this.#lines.pass(error.code)
    if (count > 0) broker.log.warn({ code: error.code, alsoFailed: count - 1 }, `the store did not do what it was asked: ${error.message}`)
  }
}
