import { LineThrottle } from '../line-throttle.ts'
import type { Log } from '../log.ts'
import { ReasonCode } from '../reason.ts'
import type { Clock } from '../time/clock.ts'

// Whoever may not publish may still try.
const everyMs = 1000

/** Says in the log that publishes of a client were refused: once a second at most. */
export class RefusalLog {
  readonly #log: Log
  readonly #clientId: string
  readonly #lines: LineThrottle

  constructor({ log, clock }: { readonly log: Log; readonly clock: Clock }, clientId: string) {
    this.#log = log
    this.#clientId = clientId
    this.#lines = new LineThrottle(clock, { everyMs })
  }

  refused(topic: string, reasonCode: number): void {
    const count = this.#lines.pass('refused')
    if (count === 0) return
    // Whoever set a quota says in the log itself, at a pace of its own, that it was exceeded.
    const level = reasonCode === ReasonCode.QuotaExceeded ? 'debug' : 'info'
    this.#log[level]({ clientId: this.#clientId, topic, reasonCode, count }, 'publish refused')
  }
}
