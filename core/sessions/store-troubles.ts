import type { Broker } from '../broker.ts'
import { StoreAwayError, StoreFullError } from './session-store.ts'

// A store that is away fails for every client at once.
const quietMs = 1000

/**
 * Says what the stores could not do. That a store is away or full is a state that ends by itself, which its owner reports: here it is
 * one line a second at most, with how often it was not said. Anything else is an error like any other.
 */
export class StoreTroubles {
  readonly #broker: Broker
  #saidAt: number
  #unsaid: number

  constructor(broker: Broker) {
    this.#broker = broker
    this.#saidAt = Number.NEGATIVE_INFINITY
    this.#unsaid = 0
  }

  say(error: unknown): void {
    const broker = this.#broker
    if (!(error instanceof StoreAwayError || error instanceof StoreFullError)) {
      broker.report(error instanceof Error ? error : new Error(String(error)))
      return
    }
    if (broker.now - this.#saidAt < quietMs) {
      this.#unsaid += 1
      return
    }
    const { code } = error
    broker.log.warn({ code, alsoFailed: this.#unsaid }, `the store did not do what it was asked: ${error.message}`)
    this.#saidAt = broker.now
    this.#unsaid = 0
  }
}
