import { createHash } from 'node:crypto'
import type { Clock } from '../../core/time/clock.ts'
import type { Role } from '../kit/verbs/define-verb.ts'

/** Who has come in by an address that was good once. */
export interface PageSession {
  /** The name of whoever had the address made. */
  readonly name: string
  readonly role: Role
}

const secretBytes = 32
// Whoever has an address made opens it at once.
const offerMs = 10 * 60_000
const offersMax = 20
// A page that is left open asks every few seconds.
const idleMs = 8 * 3_600_000
const sessionsMax = 100

/** The way in without a token of the file: a token that is good once, for ten minutes, and the session's own, which lives in memory and ends eight hours after its last use. */
export class PageSessions {
  readonly #clock: Clock
  // By hashes: what is compared is no secret, so how long that takes tells nothing.
  readonly #offers = new Map<string, PageSession & { readonly expiresAt: number }>()
  readonly #sessions = new Map<string, PageSession & { usedAt: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** A token that is good once; `expiresAt`: milliseconds since the Unix epoch. Of more than 20 the oldest goes. */
  offer(session: PageSession): { readonly token: string; readonly expiresAt: number } {
    const token = this.#clock.random(secretBytes).toString('base64url')
    const expiresAt = Math.round(this.#clock.now() + offerMs)
    if (this.#offers.size === offersMax) this.#offers.delete(this.#offers.keys().next().value!)
    this.#offers.set(hashOf(token), { ...session, expiresAt })
    return { token, expiresAt }
  }

  /** The session's own token, for one that is good once; null: it is not, or no more. */
  enter(oneTime: string): { readonly token: string; readonly session: PageSession } | null {
    const key = hashOf(oneTime)
    const offer = this.#offers.get(key)
    this.#offers.delete(key)
    if (offer === undefined || offer.expiresAt < this.#clock.now()) return null
    const { name, role } = offer
    const token = `session.${this.#clock.random(secretBytes).toString('base64url')}`
    if (this.#sessions.size === sessionsMax) this.#sessions.delete(this.#sessions.keys().next().value!)
    this.#sessions.set(hashOf(token), { name, role, usedAt: this.#clock.now() })
    return { token, session: { name, role } }
  }

  /** Whose session it is; null: nobody's, or it has ended. */
  find(token: string): PageSession | null {
    if (!token.startsWith('session.')) return null
    const key = hashOf(token)
    const session = this.#sessions.get(key)
    if (session === undefined) return null
    this.#sessions.delete(key)
    const now = this.#clock.now()
    if (now - session.usedAt > idleMs) return null
    session.usedAt = now
    // The one that was used last goes last.
    this.#sessions.set(key, session)
    return session
  }

  /** Ends a session; whether there was one. */
  end(token: string): boolean {
    return this.#sessions.delete(hashOf(token))
  }
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('base64')
}
