import { ReasonCode } from '../reason.ts'
import type { Client } from './client.ts'

/** Says in the log that publishes of a client were refused: once a second at most, for whoever may not publish may still try. */
export class RefusalLog {
  readonly #client: Client
  #count = 0
  #loggedAt = 0

  constructor(client: Client) {
    this.#client = client
  }

  refused(topic: string, reasonCode: number): void {
    const { broker, clientId } = this.#client
    const { log, now } = broker
    this.#count += 1
    if (now - this.#loggedAt < 1000) return
    // Whoever set a quota says in the log itself, at a pace of its own, that it was exceeded.
    const level = reasonCode === ReasonCode.QuotaExceeded ? 'debug' : 'info'
    log[level]({ clientId, topic, reasonCode, count: this.#count }, 'publish refused')
    this.#loggedAt = now
    this.#count = 0
  }
}
