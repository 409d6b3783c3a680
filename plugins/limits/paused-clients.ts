import type { Client } from '../../core/connection/client.ts'
import type { Clock, Timer } from '../../core/time/clock.ts'

/** Milliseconds between two looks at who may be read again. What comes in between is read in one go. */
export const sliceMs = 50

const name = 'limits'

/** Clients that are not read for a while because they are above a rate. One timer serves all, and only while there are any. */
export class PausedClients {
  readonly #clock: Clock
  readonly #until: Map<Client, number>
  #timer: Timer | null

  constructor(clock: Clock) {
    this.#clock = clock
    this.#until = new Map()
    this.#timer = null
  }

  get size(): number {
    return this.#until.size
  }

  /** Stops reading a client for so many milliseconds, or longer where it is paused already. */
  pause(client: Client, ms: number): void {
    const until = this.#clock.now() + Math.max(1, ms)
    const already = this.#until.get(client)
    if (already === undefined) client.pauseReading(name)
    if (already === undefined || already < until) this.#until.set(client, until)
    this.#timer ??= this.#clock.every(sliceMs, () => this.#look())
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  #look(): void {
    const now = this.#clock.now()
    for (const [client, until] of this.#until) {
      if (client.closed) this.#until.delete(client)
      else if (until <= now) {
        // Reading may pause it again at once.
        this.#until.delete(client)
        client.resumeReading(name)
      }
    }
    if (this.#until.size === 0) this.stop()
  }
}
