import type { Log } from '../log.ts'
import { ReasonCode } from '../reason.ts'

/** What the log of refusals uses of the broker. */
export interface RefusalLogHost {
  readonly log: Log
  /** The coarse clock. */
  readonly now: number
}

/** Says in the log that publishes of a client were refused: once a second at most, for whoever may not publish may still try. */
export class RefusalLog {
  readonly #host: RefusalLogHost
  readonly #clientId: string
  #count = 0
  #loggedAt = 0

  constructor(host: RefusalLogHost, clientId: string) {
    this.#host = host
    this.#clientId = clientId
  }

  refused(topic: string, reasonCode: number): void {
    const { log, now } = this.#host
    const clientId = this.#clientId
    this.#count += 1
    if (now - this.#loggedAt < 1000) return
    // Whoever set a quota says in the log itself, at a pace of its own, that it was exceeded.
    const level = reasonCode === ReasonCode.QuotaExceeded ? 'debug' : 'info'
    log[level]({ clientId, topic, reasonCode, count: this.#count }, 'publish refused')
    this.#loggedAt = now
    this.#count = 0
  }
}
