import { DueTimes } from '../kit/due-times.ts'
import { Kind, numberKey, readNumber } from './keys.ts'
import type { LifeSigns } from './life-signs.ts'
import { Queue } from './queue.ts'
import { decodeSession } from './records.ts'
import type { Rows } from './rows.ts'
import { StoredSession } from './stored-session.ts'

// What queues may cost in memory, in entries, before those of absent sessions are left out: some tens of megabytes.
const weightMax = 200_000

/** All stored sessions, about 200 bytes each: by client id, by when they are due, and which of their queues are in use. */
export class SessionTable {
  readonly #rows: Rows
  readonly #lives: LifeSigns
  readonly #sessions = new Map<string, StoredSession>()
  readonly #due = new DueTimes<StoredSession>()
  // Those whose queue is in memory, the one that was loaded longest ago first.
  readonly #used = new Set<StoredSession>()
  /** How many have a connection. */
  connected = 0
  /** When a broker was last seen alive, as far as it left sessions connected. */
  lastSeen = 0

  constructor(rows: Rows, lives: LifeSigns) {
    this.#rows = rows
    this.#lives = lives
    const broken = new Set<number>()
    for (const { key, value } of rows.database.range(numberKey(Kind.Session, 0), numberKey((Kind.Session + 1) as Kind, 0))) {
      const { clientId, user, life, closedAt, expiryMs, willDelayMs } = decodeSession(value)
      const session = new StoredSession(clientId, readNumber(key, 1))
      // Still connected when its broker crashed: it has had no connection since.
      session.closedAt = life === 0 ? closedAt : lives.lastOf(life)
      session.user = user
      session.expiryMs = expiryMs
      session.willDelayMs = willDelayMs
      this.#sessions.set(clientId, session)
      this.list(session)
      if (life === 0) continue
      broken.add(life)
      this.lastSeen = Math.max(this.lastSeen, session.closedAt)
    }
    lives.keepOnly(broken)
  }

  get size(): number {
    return this.#sessions.size
  }

  get(clientId: string): StoredSession | undefined {
    return this.#sessions.get(clientId)
  }

  /** In the order of their numbers, as far as they were there at the start. */
  values(): Iterable<StoredSession> {
    return this.#sessions.values()
  }

  /** A new one, with nothing in its queue. */
  add(session: StoredSession): StoredSession {
    this.#sessions.set(session.clientId, session)
    session.queue = new Queue(this.#rows, session.number)
    this.#used.add(session)
    return session
  }

  delete(session: StoredSession): void {
    this.#sessions.delete(session.clientId)
    if (session.connected) this.connected -= 1
    this.#used.delete(session)
    if (this.#due.size > 2 * this.#sessions.size + 1000) this.#due.keepOnly(one => this.#sessions.get(one.clientId) === one)
  }

  connect(session: StoredSession): void {
    if (!session.connected) this.connected += 1
    session.life = this.#lives.life
  }

  disconnect(session: StoredSession, now: number): void {
    if (session.connected) this.connected -= 1
    session.life = 0
    session.closedAt = now
    this.list(session)
  }

  /** Puts it under its due time, unless it stands under an earlier one. */
  list(session: StoredSession): void {
    const { dueAt } = session
    if (dueAt >= session.listedAt) return
    session.listedAt = dueAt
    this.#due.add(session, dueAt)
  }

  /** One that is due, as often as it is. */
  takeDue(now: number): StoredSession | undefined {
    for (;;) {
      const session = this.#due.take(now)
      if (session === undefined || this.#sessions.get(session.clientId) !== session) {
        if (session === undefined) return undefined
        continue
      }
      session.listedAt = Number.POSITIVE_INFINITY
      if (session.dueAt <= now) return session
      this.list(session)
    }
  }

  /** Its queue, which is loaded where it is not in memory. */
  use(session: StoredSession): Queue {
    if (session.queue !== null) return session.queue
    session.queue = Queue.load(this.#rows, session.number)
    session.queued = null
    this.#used.add(session)
    // Not now: whoever asks may hold others that they have not yet written to.
    if (this.#used.size % 1000 === 0) setImmediate(() => this.#leaveOut())
    return session.queue
  }

  #leaveOut(): void {
    let weight = 0
    for (const { queue } of this.#used) weight += queue!.weight
    for (const session of this.#used) {
      if (weight <= weightMax) return
      if (session.connected || session.batch > this.#rows.commit.committed) continue
      const { messages, bytes } = session.queue!
      weight -= session.queue!.weight
      session.queued = { messages, bytes }
      session.queue = null
      this.#used.delete(session)
    }
  }
}
