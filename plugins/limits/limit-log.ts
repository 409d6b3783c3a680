import type { Broker } from '../../core/broker.ts'
import type { LimitName } from '../../core/counters.ts'

// One line for each limit in this time; what lies between is in the counters, and the next line says how many it was.
const quietMs = 10_000

interface Said {
  at: number
  count: number
}

/** Counts each limit that took effect, and says so in the log at a pace that a flood cannot raise. */
export class LimitLog {
  readonly #broker: Broker
  readonly #said: Map<LimitName, Said>

  constructor(broker: Broker) {
    this.#broker = broker
    this.#said = new Map()
  }

  /** `fields`: whom it was about; called only when the line is written. */
  hit(limit: LimitName, what: string, fields: () => object): void {
    const { counters, clock, log } = this.#broker
    counters.limited[limit] += 1
    const now = clock.now()
    const said = this.#said.get(limit)
    if (said !== undefined && now - said.at < quietMs) return
    const count = counters.limited[limit]
    log.warn({ limit, times: count - (said?.count ?? 0), ...fields() }, `limits: ${what}`)
    this.#said.set(limit, { at: now, count })
  }
}
