import type { Rate } from './rate.ts'
import { type Time, TokenBucket } from './token-bucket.ts'

/** What is known of one address. */
export interface AddressEntry {
  readonly key: string
  connections: number
  /** Its connect rate, where that is limited. */
  bucket: TokenBucket | null
}

/** Addresses without a connection that are remembered, because their connect rate has not recovered yet. */
export const idleMax = 16_384

/**
 * Who is connected from where. Addresses with connections are bounded by these; those without are forgotten once their bucket is
 * full, and the oldest of them where there are too many: whoever has that many addresses is stopped by the limits for all.
 */
export class AddressTable {
  readonly #time: Time
  #rate: Rate | null
  readonly #busy: Map<string, AddressEntry>
  // In the order in which they lost their last connection.
  readonly #idle: Map<string, AddressEntry>

  constructor(time: Time, rate: Rate | null) {
    this.#time = time
    this.#rate = rate
    this.#busy = new Map()
    this.#idle = new Map()
  }

  /** Entries, for tests and metrics. */
  get size(): number {
    return this.#busy.size + this.#idle.size
  }

  /** The entry of an address; a new one is not remembered yet. */
  find(key: string): AddressEntry {
    const known = this.#busy.get(key) ?? this.#idle.get(key)
    if (known !== undefined) return known
    return { key, connections: 0, bucket: this.#bucket() }
  }

  /** Another rate, which every address begins anew with. */
  changeRate(rate: Rate | null): void {
    this.#rate = rate
    this.#idle.clear()
    for (const entry of this.#busy.values()) entry.bucket = this.#bucket()
  }

  /** One connection more. */
  enter(entry: AddressEntry): void {
    entry.connections += 1
    if (entry.connections > 1) return
    this.#idle.delete(entry.key)
    this.#busy.set(entry.key, entry)
  }

  /** One connection less. */
  leave(entry: AddressEntry): void {
    entry.connections -= 1
    if (entry.connections > 0) return
    this.#busy.delete(entry.key)
    this.#forget()
    if (entry.bucket !== null && !entry.bucket.full) this.#idle.set(entry.key, entry)
  }

  #bucket(): TokenBucket | null {
    return this.#rate === null ? null : new TokenBucket(this.#time, this.#rate.perSecond, this.#rate.burst)
  }

  #forget(): void {
    for (const [key, { bucket }] of this.#idle) {
      if (this.#idle.size < idleMax && bucket?.full !== true) return
      this.#idle.delete(key)
    }
  }
}
