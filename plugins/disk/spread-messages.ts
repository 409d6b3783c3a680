import type { Clock } from '../../core/time/clock.ts'
import type { Intention } from '../kit/services/parts.ts'
import type { CheckedRows } from './checked-rows.ts'
import type { GroupCommit } from './group-commit.ts'
import { intentionKey, Kind, numberKey, readNumber, takenKey } from './keys.ts'

interface SpreadTerms {
  readonly database: CheckedRows
  readonly commit: GroupCommit
  readonly clock: Clock
}

interface KeptToken {
  readonly token: string
  /** Tells the message from another one under the same packet identifier. */
  readonly digest: string
}

const tokenBytes = 12

/**
 * QoS 2 messages on their way from a publisher in one part to receivers in others, of which no commit spans two. The publisher's part keeps a token under the packet identifier first,
 * then each receiver keeps the token with the message, then the publisher's part keeps the identifier in place of the token. Whatever breaks off in between, the publisher sends the
 * message again, gets the same token, and whoever has the message already takes it no second time.
 */
export class SpreadMessages {
  readonly #parts: SpreadTerms
  // What the disk says, and what is on its way there.
  readonly #intentions = new Map<string, KeptToken>()
  readonly #taken = new Set<string>()
  /** Of those taken, the ones that the disk had when it was opened: session and token. */
  #before: (readonly [session: number, token: string])[] = []

  constructor(parts: SpreadTerms) {
    this.#parts = parts
    const { database } = parts
    for (const { key, value } of database.range(numberKey(Kind.Intention, 0), numberKey((Kind.Intention + 1) as Kind, 0))) {
      const text = value.toString('latin1')
      const intention = { token: text.slice(0, tokenBytes), digest: text.slice(tokenBytes) }
      this.#intentions.set(nameOf(readNumber(key, 1), key.readUInt16BE(7)), intention)
    }
    for (const { key } of database.range(numberKey(Kind.Taken, 0), numberKey((Kind.Taken + 1) as Kind, 0))) {
      const [session, token] = [readNumber(key, 1), key.toString('latin1', 7)]
      this.#taken.add(nameOf(session, token))
      this.#before.push([session, token])
    }
  }

  /** The token under a packet identifier of a session, which is kept from the next batch on. */
  intend(session: number, packetId: number, digest: string): Intention {
    const { commit, clock } = this.#parts
    const name = nameOf(session, packetId)
    const known = this.#intentions.get(name)
    if (known?.digest === digest) return { token: known.token, isRepeated: true }
    const token = clock.random(tokenBytes).toString('latin1')
    this.#intentions.set(name, { token, digest })
    commit.put(intentionKey(session, packetId), Buffer.from(token + digest, 'latin1'))
    return { token, isRepeated: false }
  }

  /** A token stands under a packet identifier of a session. */
  intends(session: number, packetId: number): boolean {
    return this.#intentions.size > 0 && this.#intentions.has(nameOf(session, packetId))
  }

  /** All tokens under packet identifiers. */
  tokens(): string[] {
    return [...this.#intentions.values()].map(({ token }) => token)
  }

  /** Of the tokens that the disk had when it was opened sessions need only these. */
  keepTokens(needed: ReadonlySet<string>): void {
    for (const [session, token] of this.#before) if (!needed.has(token)) this.through(session, token)
    this.#before = this.#before.filter(([, token]) => needed.has(token))
  }

  /** The identifier stands in the place of the token now. */
  received(session: number, packetId: number): void {
    if (this.#intentions.size > 0 && this.#intentions.delete(nameOf(session, packetId)))
      this.#parts.commit.remove(intentionKey(session, packetId))
  }

  /** A session has taken the message already. */
  has(session: number, token: string): boolean {
    return this.#taken.has(nameOf(session, token))
  }

  /** A session takes the message, in this batch. */
  take(session: number, token: string): void {
    this.#taken.add(nameOf(session, token))
    this.#parts.commit.put(takenKey(session, token), nothing)
  }

  /** A session need not remember the message any more. */
  through(session: number, token: string): void {
    if (this.#taken.delete(nameOf(session, token))) this.#parts.commit.remove(takenKey(session, token))
  }

  /** A session has ended, and all that was written before is on the disk. */
  ended(session: number): void {
    const { database, commit } = this.#parts
    if (this.#intentions.size + this.#taken.size === 0) return
    for (const kind of [Kind.Intention, Kind.Taken]) {
      for (const { key } of database.range(numberKey(kind, session), numberKey(kind, session + 1))) {
        commit.remove(Buffer.from(key))
        if (kind === Kind.Intention) this.#intentions.delete(nameOf(session, key.readUInt16BE(7)))
        else this.#taken.delete(nameOf(session, key.toString('latin1', 7)))
      }
    }
  }
}

const nothing = Buffer.alloc(0)

function nameOf(session: number, what: number | string): string {
  return `${session} ${what}`
}
