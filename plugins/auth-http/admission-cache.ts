import { createHmac, randomBytes } from 'node:crypto'
import type { Rights } from '../../core/publisher.ts'
import type { Clock } from '../../core/time/clock.ts'

interface Kept {
  readonly rights: Rights
  readonly until: number
}

/** Admissions by the question that led to them, for a short time. Only a keyed hash of the question is kept, for there is a password in it. */
export class AdmissionCache {
  readonly #clock: Clock
  readonly #ttlMs: number
  readonly #max: number
  readonly #secret: Buffer
  // In the order of their end, since all live equally long.
  readonly #kept: Map<string, Kept>

  constructor(clock: Clock, ttlMs: number, max: number) {
    this.#clock = clock
    this.#ttlMs = ttlMs
    this.#max = max
    this.#secret = randomBytes(32)
    this.#kept = new Map()
  }

  get size(): number {
    return this.#kept.size
  }

  find(question: string): Rights | undefined {
    if (this.#ttlMs === 0) return undefined
    const kept = this.#kept.get(this.#key(question))
    return kept !== undefined && kept.until > this.#clock.now() ? kept.rights : undefined
  }

  keep(question: string, rights: Rights): void {
    if (this.#ttlMs === 0) return
    const now = this.#clock.now()
    const key = this.#key(question)
    this.#kept.delete(key)
    for (const [oldest, { until }] of this.#kept) {
      if (until > now && this.#kept.size < this.#max) break
      this.#kept.delete(oldest)
    }
    this.#kept.set(key, { rights, until: now + this.#ttlMs })
  }

  #key(question: string): string {
    return createHmac('sha256', this.#secret).update(question).digest('base64')
  }
}
