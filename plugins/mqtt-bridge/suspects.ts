import type { Flight } from './flight.ts'

// Connections that broke without one answer, while messages were on their way, before these are looked at one by one; and messages that are left out
// before it is taken for an outage after all.
const sterileMax = 3
const leftMax = 4

/** What becomes of messages when the connection has broken. */
export interface Fate {
  /** Is left out until another message has got through; null: none. */
  readonly left: Flight | null
  /** Is to blame; null: none. */
  readonly blamed: Flight | null
  /** Are not left out any more. */
  readonly back: readonly Flight[]
}

/**
 * Tells a message that the other broker closes the connection on, as brokers do before MQTT 5 that refuse it, from a broker that is away. When connections break again and again
 * without one answer, messages are sent one by one, and one that was alone on its way is left out. When another has got through it is sent alone once more, and if the connection
 * breaks again it is to blame.
 */
export class Suspects {
  #sterile = 0
  #probing = false
  readonly #left = new Map<number, Flight>()
  // Tried once more, each alone.
  readonly #judged = new Set<Flight>()

  /** Messages are sent one by one. */
  get probing(): boolean {
    return this.#probing
  }

  get size(): number {
    return this.#left.size
  }

  has(packetId: number): boolean {
    return this.#left.has(packetId)
  }

  all(): Iterable<Flight> {
    return this.#left.values()
  }

  /** The connection broke while these were on their way. Null: nothing changes. */
  detached(onWire: readonly Flight[]): Fate | null {
    if (onWire.length === 0) return null
    this.#sterile += 1
    if (this.#sterile < sterileMax && !this.#probing) return null
    if (!this.#probing || onWire.length > 1) {
      this.#probing = true
      return null
    }
    const [alone] = onWire as [Flight]
    if (this.#judged.delete(alone)) {
      this.#goOn()
      return { left: null, blamed: alone, back: [] }
    }
    this.#left.set(alone.packetId, alone)
    if (this.#left.size < leftMax) return { left: alone, blamed: null, back: [] }
    // None of them gets through, so none is to blame.
    const back = [...this.#left.values()]
    this.#left.clear()
    this.#judged.clear()
    this.#goOn()
    return { left: alone, blamed: null, back }
  }

  /** A message has got through. Those that were left out, to be sent once more. */
  passed(flight: Flight): readonly Flight[] {
    this.#sterile = 0
    this.#judged.delete(flight)
    const again = [...this.#left.values()]
    this.#left.clear()
    for (const one of again) this.#judged.add(one)
    this.#goOn()
    return again
  }

  #goOn(): void {
    if (this.#left.size === 0 && this.#judged.size === 0) {
      this.#probing = false
      this.#sterile = 0
    }
  }
}
