import type { Log } from '../../core/log.ts'
import type { Clock } from '../../core/time/clock.ts'
import type { RetainedStore } from '../kit/services/retained.ts'
import { certificates } from './topics.ts'

export interface CertificateLimits {
  certificatesMax: number
  bytesMax: number
}

/** What is used of the broker here. */
export interface KnownHost {
  readonly clock: Clock
  readonly log: Log
  readonly turns: { next(): Promise<void> }
  readonly store: () => RetainedStore
}

const pageRows = 100
// Looking through the store costs as much as a replay of all certificates.
const recountMs = 60_000

/**
 * The certificates that this node knows of, and whether there is room for one more. They lie in the retained store; what other nodes put there and what expires or is taken away there is
 * noticed when the store is looked through: at the start, and where there seems to be no room.
 */
export class KnownCertificates {
  limits: CertificateLimits
  readonly #host: KnownHost
  readonly #bytesOf = new Map<string, number>()
  #bytes = 0
  // Those that have changed since the store began to be looked through; null: it is not.
  #changed: Set<string> | null = null
  #isComplete = false
  #lookedAt = Number.NEGATIVE_INFINITY
  #isEnded = false

  constructor(host: KnownHost, limits: CertificateLimits) {
    this.#host = host
    this.limits = limits
  }

  get count(): number {
    return this.#bytesOf.size
  }

  get bytes(): number {
    return this.#bytes
  }

  has(topic: string): boolean {
    return this.#bytesOf.has(topic)
  }

  /** A certificate has another payload now, or none. */
  note(topic: string, payloadLength: number): void {
    this.#changed?.add(topic)
    this.#set(topic, payloadLength)
  }

  /** Whether a certificate of such a size has room, in place of the one that it follows. */
  fits(topic: string, payloadLength: number): boolean {
    const before = this.#bytesOf.get(topic)
    const { certificatesMax, bytesMax } = this.limits
    const fits =
      (before !== undefined || this.#bytesOf.size < certificatesMax) &&
      this.#bytes - (before ?? 0) + topic.length + payloadLength <= bytesMax
    if (!fits || !this.#isComplete) this.lookThrough()
    return fits
  }

  /** Counts anew what is there, once a minute at most. Nobody waits for it. */
  lookThrough(): void {
    const now = this.#host.clock.now()
    if (this.#changed !== null || now - this.#lookedAt < recountMs) return
    this.#lookedAt = now
    this.#changed = new Set()
    this.#look(this.#changed)
      .catch(error => this.#host.log.debug({ err: error }, 'sparkplug: the certificates could not be counted'))
      .finally(() => {
        this.#changed = null
      })
  }

  end(): void {
    this.#isEnded = true
  }

  async #look(changed: Set<string>): Promise<void> {
    const cursor = this.#host.store().match(`${certificates}#`)
    const gone = new Set(this.#bytesOf.keys())
    for (let done = false; !done; ) {
      const page = await cursor.next(pageRows)
      if (this.#isEnded) return
      for (const { topic, payloadLength } of page.messages) {
        gone.delete(topic)
        if (!changed.has(topic)) this.#set(topic, payloadLength)
      }
      done = page.done
      if (!done) await this.#host.turns.next()
    }
    for (const topic of gone) if (!changed.has(topic)) this.#set(topic, 0)
    this.#isComplete = true
  }

  #set(topic: string, payloadLength: number): void {
    this.#bytes -= this.#bytesOf.get(topic) ?? 0
    this.#bytesOf.delete(topic)
    if (payloadLength === 0) return
    const bytes = topic.length + payloadLength
    this.#bytesOf.set(topic, bytes)
    this.#bytes += bytes
  }
}
