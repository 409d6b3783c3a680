import type { Broker } from '../../core/broker.ts'
import type { LimitName } from '../../core/counter-names.ts'
import { LineThrottle } from '../kit/line-throttle.ts'

/** Counts each limit that took effect, and says so in the log at a pace that a flood cannot raise. */
export class LimitLog {
  readonly #broker: Broker
  readonly #lines: LineThrottle

  constructor(broker: Broker) {
    this.#broker = broker
    this.#lines = new LineThrottle(broker.clock, { everyMs: 10_000 })
  }

  /** `fields`: whom it was about; called only when the line is written. */
  hit(limit: LimitName, what: string, fields: () => object): void {
    const { counters, log } = this.#broker
    counters.limited[limit] += 1
    const times = this.#lines.pass(limit)
    if (times > 0) log.warn({ limit, times, ...fields() }, `limits: ${what}`)
  }
}
