// Why it is long: all verbs of one interface, on one map of sessions; what a session itself does stands above them.
import { Message } from '../../core/messages/message.ts'
import type { Subscription } from '../../core/routing/subscription.ts'
import { identifierBytes, queuedBytes, roomFor } from '../../core/sessions/queue-policy.ts'
import {
  type AppendTarget,
  type Claim,
  type ClaimRequest,
  type Done,
  type Due,
  type EndedSession,
  type QueueEntry,
  type QueueLimits,
  type ReceivedId,
  type SessionKey,
  SessionLostError,
  SessionOwnedError,
  type SessionPage,
  type SessionStore,
  type SessionStoreEvents,
  type SessionSummary,
  type StoredSessionState,
  type StoredSubscriber,
  type StoredWill,
  type StoreTotals,
  type SurvivingSession,
} from '../../core/sessions/session-store.ts'
import type { Clock } from '../../core/time/clock.ts'
import { IdSet } from './id-set.ts'

class StoredSession {
  readonly clientId: string
  epoch: number
  /** Rises with each session that is stored. */
  readonly number: number
  /** The epoch of the claim that began it; 0: it was written again, and nobody knows. */
  beganWith: number
  /** Undefined: nobody knows. */
  user: string | null | undefined = null
  /** Null while it has no connection. */
  node: string | null = null
  readonly subscriptions = new Map<string, Subscription>()
  readonly receivedIds = new IdSet()
  /** By position, so in order; an entry in the middle goes as cheaply as one at the front. */
  readonly queue = new Map<number, QueueEntry>()
  readonly positions = new Map<number, number>()
  lastPosition = 0
  bytes = 0
  will: StoredWill | null = null
  expiryMs = 0
  /** Milliseconds since the Unix epoch; not looked at while connected. */
  closedAt = 0
  /** Milliseconds since the Unix epoch; `Infinity` while connected, or for ever. */
  expiresAt = Number.POSITIVE_INFINITY
  willAt = Number.POSITIVE_INFINITY
  // What all sessions have queued together.
  readonly #all: QueueSize

  constructor(clientId: string, epoch: number, all: QueueSize) {
    this.#all = all
    this.clientId = clientId
    this.epoch = epoch
    this.number = epoch
    this.beganWith = epoch
  }

  append(entry: QueueEntry, bytes: number): void {
    const { position, packetId } = entry
    this.queue.set(position, entry)
    if (packetId !== 0) this.positions.set(packetId, position)
    this.#count(1, bytes)
  }

  remove(position: number): void {
    const entry = this.queue.get(position)
    if (entry === undefined) return
    this.queue.delete(position)
    if (entry.packetId !== 0) this.positions.delete(entry.packetId)
    this.#count(-1, -queuedBytes(entry.message, entry.identifiers))
  }

  /** It has ended: what it has queued counts no longer. */
  leaveTotals(): void {
    this.#all.messages -= this.queue.size
    this.#all.bytes -= this.bytes
  }

  summary(): SessionSummary {
    const { clientId, user, node, expiresAt, subscriptions, queue, bytes } = this
    const summary = { clientId, node, expiresAt, subscriptions: subscriptions.size, queued: { messages: queue.size, bytes } }
    return user === undefined ? summary : { ...summary, user }
  }

  state(): StoredSessionState {
    const { clientId, user, node, closedAt, expiryMs, will, subscriptions, receivedIds, queue, bytes } = this
    const state = {
      clientId,
      node,
      closedAt: node === null && (will !== null || Number.isFinite(expiryMs)) ? closedAt : null,
      expiryMs,
      will,
      subscriptions: [...subscriptions.values()],
      receivedIds: [...receivedIds],
      queued: { messages: queue.size, bytes },
    }
    return user === undefined ? state : { ...state, user }
  }

  #count(messages: number, bytes: number): void {
    this.bytes += bytes
    this.#all.messages += messages
    this.#all.bytes += bytes
  }
}

interface QueueSize {
  messages: number
  bytes: number
}

// Walks over all sessions that are remembered, so that each page goes on where the one before ended.
const walksMax = 16

/** The `sessions` service in this process. Everything is kept at once, so every verb answers at once. */
export class MemorySessions implements SessionStore {
  readonly #clock: Clock
  readonly #sessions = new Map<string, StoredSession>()
  // Those without a connection whose expiry or will has a time; looked through once a second.
  readonly #timed = new Set<StoredSession>()
  #events: SessionStoreEvents = { dropped: () => {}, lost: () => {}, appended: () => {} }
  #limits: QueueLimits = { messagesMax: 100_000, bytesMax: 64 * 1024 * 1024, whenFull: 'dropNewest' }
  #epoch: number
  readonly #firstPosition: number
  readonly #queued: QueueSize = { messages: 0, bytes: 0 }
  // By the cursor that each goes on from; the one that was used last stands at the end.
  readonly #walks = new Map<string, Iterator<StoredSession>>()

  /** `lastNumber`: epochs that it gives are higher, and so are positions in sessions that are written again. */
  constructor(clock: Clock, lastNumber = 0) {
    this.#clock = clock
    this.#epoch = lastNumber
    this.#firstPosition = lastNumber
  }

  /** Writes a session again whose client is connected to `node`. */
  restore({ key, user, expiryMs, will, subscriptions, receivedIds, inFlight }: SurvivingSession, node: string): void {
    const { clientId, epoch } = key
    this.#epoch = Math.max(this.#epoch, epoch) + 1
    const stored = new StoredSession(clientId, this.#epoch, this.#queued)
    // Whoever reads its queue goes on behind the last position that it has seen.
    Object.assign(stored, { epoch, beganWith: 0, lastPosition: this.#firstPosition, user, node, expiryMs, will })
    for (const subscription of subscriptions) stored.subscriptions.set(subscription.filter, subscription)
    for (const id of receivedIds) stored.receivedIds.add(id)
    for (const { message, asked: _asked, ...entry } of inFlight) {
      const position = ++stored.lastPosition
      // Of one whose client has it, only the handshake is left.
      const kept =
        message ??
        new Message({
          topic: '',
          payload: Buffer.alloc(0),
          qos: 2,
          retain: false,
          origin: 'server',
          clientId: '',
          receivedAt: this.#clock.now(),
        })
      stored.append({ ...entry, position, message: kept }, queuedBytes(kept, entry.identifiers))
    }
    this.#sessions.set(clientId, stored)
  }

  open(events: SessionStoreEvents, limits: QueueLimits): void {
    this.#events = events
    this.#limits = limits
  }

  *sessions(): Iterable<StoredSubscriber> {
    for (const { clientId, user, subscriptions } of this.#sessions.values()) {
      const subscriber = { clientId, subscriptions: [...subscriptions.values()] }
      yield user === undefined ? subscriber : { ...subscriber, user }
    }
  }

  claim({ clientId, node, user, userOnly, cleanStart, expiryMs, will }: ClaimRequest): Claim | Promise<never> {
    let stored = this.#sessions.get(clientId)
    const isOver = stored !== undefined && stored.expiresAt <= this.#clock.now()
    if (userOnly && stored?.user !== undefined && !isOver && stored.user !== user)
      return Promise.reject(new SessionOwnedError(clientId, stored.user))
    this.#epoch += 1
    const epoch = this.#epoch
    let ended: EndedSession | null = null
    if (stored !== undefined && (cleanStart || isOver)) {
      ended = this.#remove(stored)
      stored = undefined
    }
    const present = stored !== undefined
    if (stored === undefined && expiryMs > 0) {
      stored = new StoredSession(clientId, epoch, this.#queued)
      this.#sessions.set(clientId, stored)
    }
    if (stored === undefined) return { epoch, present: false, subscriptions: [], receivedIds: [], queued: { messages: 0, bytes: 0 }, ended }
    stored.epoch = epoch
    stored.user = user
    stored.node = String(node)
    stored.will = will
    stored.expiryMs = expiryMs
    stored.expiresAt = Number.POSITIVE_INFINITY
    stored.willAt = Number.POSITIVE_INFINITY
    this.#timed.delete(stored)
    const queued = { messages: stored.queue.size, bytes: stored.bytes }
    return { epoch, present, subscriptions: [...stored.subscriptions.values()], receivedIds: [...stored.receivedIds], queued, ended }
  }

  append(message: Message, targets: readonly AppendTarget[], received: ReceivedId | null): Done {
    if (received !== null) {
      const publisher = this.#owned(received.session)
      if (publisher === null) return rejectLost(received.session)
      publisher.receivedIds.add(received.packetId)
    }
    const messageBytes = queuedBytes(message)
    for (const { clientId, qos, retain, identifiers, group, packetId: given, epoch } of targets) {
      const stored = this.#sessions.get(clientId)
      const isOwned = given === 0 || stored?.epoch === epoch
      if (!isOwned) this.#events.lost({ clientId, epoch })
      // What waited for the worker that keeps it may be for the session before.
      const isOfOneBefore = stored !== undefined && epoch !== 0 && epoch < stored.beganWith
      if (stored === undefined || isOfOneBefore) {
        this.#events.dropped(clientId, message, 'sessionEnded')
        continue
      }
      const bytes = messageBytes + identifierBytes(identifiers)
      if (!this.#makeRoom(stored, message, bytes)) continue
      const packetId = isOwned ? given : 0
      const position = ++stored.lastPosition
      // What waits may wait for long; what is in flight will soon be acknowledged.
      if (packetId === 0) message.compact()
      stored.append({ position, message, qos, retain, identifiers, group, packetId, released: false }, bytes)
    }
  }

  page(session: SessionKey, position: number, limit: number): readonly QueueEntry[] | Promise<never> {
    const stored = this.#owned(session)
    return stored === null ? rejectLost(session) : entriesOf(stored, position, limit)
  }

  send(session: SessionKey, position: number, packetId: number): Done {
    const stored = this.#owned(session)
    if (stored === null) return rejectLost(session)
    const entry = stored.queue.get(position)
    if (entry === undefined) return
    entry.packetId = packetId
    stored.positions.set(packetId, position)
  }

  ack(session: SessionKey, packetId: number): Done {
    const stored = this.#owned(session)
    if (stored === null) return rejectLost(session)
    const position = stored.positions.get(packetId)
    if (position !== undefined) stored.remove(position)
  }

  remove(session: SessionKey, position: number): Done {
    const stored = this.#owned(session)
    if (stored === null) return rejectLost(session)
    stored.remove(position)
  }

  release(session: SessionKey, packetId: number): Done {
    const stored = this.#owned(session)
    if (stored === null) return rejectLost(session)
    const entry = stored.queue.get(stored.positions.get(packetId) ?? 0)
    if (entry !== undefined) entry.released = true
  }

  forget(session: SessionKey, packetId: number): Done {
    const stored = this.#owned(session)
    if (stored === null) return rejectLost(session)
    stored.receivedIds.delete(packetId)
  }

  subscribe(session: SessionKey, subscriptions: readonly Subscription[]): Done {
    const stored = this.#owned(session)
    if (stored === null) return rejectLost(session)
    for (const subscription of subscriptions) stored.subscriptions.set(subscription.filter, subscription)
  }

  unsubscribe(session: SessionKey, filters: readonly string[]): Done {
    const stored = this.#owned(session)
    if (stored === null) return rejectLost(session)
    for (const filter of filters) stored.subscriptions.delete(filter)
  }

  close(session: SessionKey, expiryMs: number, keepWill: boolean, closedAt = this.#clock.now()): Done {
    const stored = this.#owned(session)
    if (stored === null) return rejectLost(session)
    stored.node = null
    stored.closedAt = closedAt
    stored.expiryMs = expiryMs
    stored.expiresAt = closedAt + expiryMs
    if (!keepWill) stored.will = null
    stored.willAt = stored.will === null ? Number.POSITIVE_INFINITY : closedAt + stored.will.delayMs
    if (stored.expiresAt < Number.POSITIVE_INFINITY || stored.will !== null) this.#timed.add(stored)
  }

  end(session: SessionKey): EndedSession | null | Promise<never> {
    if (!this.#sessions.has(session.clientId)) return null
    const stored = this.#owned(session)
    return stored === null ? rejectLost(session) : this.#remove(stored)
  }

  expire(now: number, limit: number): readonly Due[] {
    const due: Due[] = []
    for (const stored of this.#timed) {
      if (due.length >= limit) break
      if (stored.expiresAt <= now) {
        due.push({ kind: 'expired', session: this.#remove(stored) })
      } else if (stored.willAt <= now) {
        due.push({ kind: 'will', clientId: stored.clientId, will: stored.will! })
        stored.will = null
        stored.willAt = Number.POSITIVE_INFINITY
        if (stored.expiresAt === Number.POSITIVE_INFINITY) this.#timed.delete(stored)
      }
    }
    return due
  }

  flush(): void {}

  // Nothing outlives this process, and while it lives the broker sends the will itself.
  keepWill(_clientId: string, _node: string | number, _will: StoredWill | null): void {}

  totals(): StoreTotals {
    return { sessions: this.#sessions.size, messages: this.#queued.messages, bytes: this.#queued.bytes }
  }

  peek(clientId: string, position: number, limit: number): readonly QueueEntry[] | null {
    const stored = this.#sessions.get(clientId)
    return stored === undefined ? null : entriesOf(stored, position, limit).map(entry => ({ ...entry }))
  }

  inspect(clientId: string): StoredSessionState | null {
    return this.#sessions.get(clientId)?.state() ?? null
  }

  list(after: string | null, limit: number): SessionPage {
    const walk = this.#walkFrom(after)
    const sessions: SessionSummary[] = []
    while (sessions.length < limit) {
      const { value: stored, done } = walk.next()
      if (done) return { sessions, next: null }
      // The walk may have begun anew.
      if (after !== null && stored.number <= Number(after)) continue
      sessions.push(stored.summary())
      after = String(stored.number)
    }
    this.#walks.set(after!, walk)
    return { sessions, next: after }
  }

  /** The walk of the page before, where it is still known; else one from the beginning. The map is in the order of the sessions' numbers. */
  #walkFrom(after: string | null): Iterator<StoredSession> {
    const walk = after === null ? undefined : this.#walks.get(after)
    if (walk !== undefined) this.#walks.delete(after!)
    else if (this.#walks.size >= walksMax)
      for (const oldest of this.#walks.keys()) {
        this.#walks.delete(oldest)
        break
      }
    return walk ?? this.#sessions.values()
  }

  #owned({ clientId, epoch }: SessionKey): StoredSession | null {
    const stored = this.#sessions.get(clientId)
    return stored !== undefined && stored.epoch === epoch ? stored : null
  }

  #makeRoom(stored: StoredSession, message: Message, bytes: number): boolean {
    for (;;) {
      const room = roomFor(this.#limits, stored.queue.size, stored.bytes, bytes)
      if (room === 'fits') return true
      const oldest = room === 'dropOldest' ? firstUnsent(stored) : undefined
      if (oldest !== undefined) stored.remove(oldest.position)
      this.#events.dropped(stored.clientId, oldest?.message ?? message, 'queueFull')
      if (oldest === undefined) return false
    }
  }

  #remove(stored: StoredSession): EndedSession {
    this.#sessions.delete(stored.clientId)
    this.#timed.delete(stored)
    stored.leaveTotals()
    const { clientId, subscriptions, will, queue } = stored
    const shared: QueueEntry[] = []
    for (const entry of queue.values()) {
      if (entry.group !== null) shared.push(entry)
      else if (!entry.released) this.#events.dropped(clientId, entry.message, 'sessionEnded')
    }
    return { clientId, subscriptions: [...subscriptions.values()], will, shared }
  }
}

function entriesOf(stored: StoredSession, position: number, limit: number): QueueEntry[] {
  const entries: QueueEntry[] = []
  for (const entry of stored.queue.values()) {
    if (entry.position <= position) continue
    entries.push(entry)
    if (entries.length === limit) break
  }
  return entries
}

function firstUnsent(stored: StoredSession): QueueEntry | undefined {
  for (const entry of stored.queue.values()) if (entry.packetId === 0) return entry
  return undefined
}

// A verb never throws: like a store that is further away, this one answers with a promise that fails.
function rejectLost({ clientId }: SessionKey): Promise<never> {
  return Promise.reject(new SessionLostError(clientId))
}
