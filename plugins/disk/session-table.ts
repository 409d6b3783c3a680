import { DueTimes } from '../kit/due-times.ts'
import { Kind, numberKey, readNumber } from './keys.ts'
import type { LifeSigns } from './life-signs.ts'
import { decodeSession } from './records.ts'
import { SessionQueue } from './session-queue.ts'
import type { StoreParts } from './store-parts.ts'
import { StoredSession } from './stored-session.ts'

// What queues may cost in memory, in entries, before those of absent sessions are left out: some tens of megabytes.
const weightMax = 200_000

/** All stored sessions, about 200 bytes each: by client id, by when they are due, and which of their queues are in use. */
export class SessionTable {
  readonly #parts: StoreParts
  readonly #lifeSigns: LifeSigns
  readonly #sessions = new Map<string, StoredSession>()
  readonly #due = new DueTimes<StoredSession>()
  // Those whose queue is in memory, the one that was loaded longest ago first.
  readonly #loaded = new Set<StoredSession>()
  /** How many have a connection. */
  connected = 0
  /** When a broker was last seen alive, as far as it left sessions connected. */
  lastSeen = 0

  constructor(parts: StoreParts, runs: LifeSigns) {
    this.#parts = parts
    this.#lifeSigns = runs
    const broken = new Set<number>()
    for (const { key, value } of parts.database.range(numberKey(Kind.Session, 0), numberKey((Kind.Session + 1) as Kind, 0))) {
      const { clientId, user, run, closedAt, expiryMs, willDelayMs } = decodeSession(value)
      const session = new StoredSession(clientId, readNumber(key, 1))
      // Still connected when its broker crashed: it has had no connection since.
      session.closedAt = run === 0 ? closedAt : runs.lastOf(run)
      session.user = user
      session.expiryMs = expiryMs
      session.willDelayMs = willDelayMs
      this.#sessions.set(clientId, session)
      this.schedule(session)
      if (run === 0) continue
      broken.add(run)
      this.lastSeen = Math.max(this.lastSeen, session.closedAt)
    }
    runs.keepOnly(broken)
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
    session.queue = new SessionQueue(this.#parts, session.number)
    this.#loaded.add(session)
    return session
  }

  delete(session: StoredSession): void {
    this.#sessions.delete(session.clientId)
    if (session.connected) this.connected -= 1
    this.#loaded.delete(session)
    if (this.#due.size > 2 * this.#sessions.size + 1000) this.#due.keepOnly(one => this.#sessions.get(one.clientId) === one)
  }

  connect(session: StoredSession): void {
    if (!session.connected) this.connected += 1
    session.run = this.#lifeSigns.run
  }

  disconnect(session: StoredSession, now: number): void {
    if (session.connected) this.connected -= 1
    session.run = 0
    session.closedAt = now
    this.schedule(session)
  }

  /** Puts it under its due time, unless it stands under an earlier one. */
  schedule(session: StoredSession): void {
    const { dueAt } = session
    if (dueAt >= session.scheduledAt) return
    session.scheduledAt = dueAt
    this.#due.add(session, dueAt)
  }

  /** One that is due, as often as it is. */
  nextDue(now: number): StoredSession | undefined {
    for (;;) {
      const session = this.#due.shiftDue(now)
      if (session === undefined || this.#sessions.get(session.clientId) !== session) {
        if (session === undefined) return undefined
        continue
      }
      session.scheduledAt = Number.POSITIVE_INFINITY
      if (session.dueAt <= now) return session
      this.schedule(session)
    }
  }

  /** Its queue, which is loaded where it is not in memory. */
  queueOf(session: StoredSession): SessionQueue {
    if (session.queue !== null) return session.queue
    session.queue = SessionQueue.load(this.#parts, session.number, session.queued !== null)
    session.queued = null
    this.#loaded.add(session)
    // Not now: whoever asks may hold others that they have not yet written to.
    if (this.#loaded.size % 1000 === 0) this.#parts.clock.turn(() => this.#unloadQueues())
    return session.queue
  }

  #unloadQueues(): void {
    let weight = 0
    for (const { queue } of this.#loaded) weight += queue!.weight
    for (const session of this.#loaded) {
      if (weight <= weightMax) return
      if (session.connected || session.batch > this.#parts.commit.committed) continue
      const { messages, bytes } = session.queue!
      weight -= session.queue!.weight
      session.queued = { messages, bytes }
      session.queue = null
      this.#loaded.delete(session)
    }
  }
}
