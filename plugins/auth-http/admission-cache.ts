import { createHmac } from 'node:crypto'
import type { Rights } from '../../core/publisher.ts'
import type { Clock } from '../../core/time/clock.ts'
import { textBytes } from '../kit/bounded-cache.ts'

interface Kept {
  readonly rights: Rights
  readonly until: number
  readonly bytes: number
}

/** Bytes of all admissions that are kept: a service may give long lists of rights. */
const bytesMax = 33_554_432
// The key, the place and the lists.
const entryBytes = 300

/** Admissions by the question that led to them, for a short time. Only a keyed hash of the question is kept, for there is a password in it. */
export class AdmissionCache {
  readonly #clock: Clock
  readonly #ttlMs: number
  readonly #max: number
  readonly #secret: Buffer
  // In the order of their end, since all live equally long.
  readonly #kept: Map<string, Kept>
  #bytes: number

  constructor(clock: Clock, ttlMs: number, max: number) {
    this.#clock = clock
    this.#ttlMs = ttlMs
    this.#max = max
    this.#secret = clock.random(32)
    this.#kept = new Map()
    this.#bytes = 0
  }

  /** Bytes that the admissions keep, roughly. */
  get bytes(): number {
    return this.#bytes
  }

  /** Forgets all of them. */
  clear(): void {
    this.#kept.clear()
    this.#bytes = 0
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
    const bytes = entryBytes + rightsBytes(rights)
    if (bytes > bytesMax) return
    this.#forget(key)
    for (const [oldest, { until }] of this.#kept) {
      if (until > now && this.#kept.size < this.#max && this.#bytes + bytes <= bytesMax) break
      this.#forget(oldest)
    }
    this.#kept.set(key, { rights, until: now + this.#ttlMs, bytes })
    this.#bytes += bytes
  }

  #forget(key: string): void {
    this.#bytes -= this.#kept.get(key)?.bytes ?? 0
    this.#kept.delete(key)
  }

  #key(question: string): string {
    return createHmac('sha256', this.#secret).update(question).digest('base64')
  }
}

function rightsBytes({ authorizedPub = [], authorizedSub = [] }: Rights): number {
  let bytes = 0
  for (const filter of authorizedPub) bytes += 8 + textBytes(filter)
  for (const filter of authorizedSub) bytes += 8 + textBytes(filter)
  return bytes
}
