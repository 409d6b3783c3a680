import type { Broker } from '../../core/broker.ts'
import type { StoreTotals } from '../../core/sessions/session-store.ts'

// A store that is away keeps no scrape waiting for longer.
const waitMs = 1000

/** What the session store holds in all, as it was last told. */
export class StoredTotals {
  readonly #broker: Broker
  #asking: Promise<void> | null
  /** Null: it has not told yet. */
  totals: StoreTotals | null

  constructor(broker: Broker) {
    this.#broker = broker
    this.#asking = null
    this.totals = null
  }

  /** Asks the store anew; resolves in the end all the same where it does not answer, or cannot tell. */
  async refresh(): Promise<void> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = null
    })
    let timer: { cancel(): void } | undefined
    const late = new Promise<void>(resolve => {
      timer = this.#broker.clock.after(waitMs, resolve)
    })
    await Promise.race([this.#asking, late])
    timer?.cancel()
  }

  async #ask(): Promise<void> {
    try {
      this.totals = (await this.#broker.services.find('sessions')?.totals?.()) ?? null
    } catch {
      // What it told last is shown; that it is away is another figure.
    }
  }
}
