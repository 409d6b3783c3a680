import type { Message } from '../../core/messages/message.ts'
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
  SessionOwnedError,
  type SessionPage,
  type SessionStore,
  type SessionStoreEvents,
  type StoredSessionState,
  type StoredSubscriber,
  type StoredWill,
  type StoreRoom,
  type StoreTotals,
} from '../../core/sessions/session-store.ts'
import type { Clock } from '../../core/time/clock.ts'
import type { LastingPart } from '../kit/services/parts.ts'
import { encodeMessage, encodeWill } from '../kit/stored-message.ts'
import { answer, type DueAnswer, expired, handAllOn, handOn, newClaim, rejectLost } from './answers.ts'
import { bodyHeadBytes } from './bodies.ts'
import { CleanWills, type OrphanedWill } from './clean-wills.ts'
import { beginEnding, type Ending, finishEnding, unfinishedEndings } from './ending.ts'
import { listSessions, peekQueue, stateOf, storeTotals } from './inspection.ts'
import { Kind, numberKey, receivedKey, subscriptionKey } from './keys.ts'
import { LifeSigns } from './life-signs.ts'
import { lostMessage, readWill } from './read-stored.ts'
import { encodeSession, encodeSubscription, entryHeadBytes } from './records.ts'
import type { SessionQueue } from './session-queue.ts'
import { SessionTable } from './session-table.ts'
import type { StoreParts } from './store-parts.ts'
import { StoredSession } from './stored-session.ts'
import { readReceivedIds, readSubscribers, readSubscriptions } from './subscriptions.ts'

const nothing = Buffer.alloc(0)

// Why it is long: it holds all verbs of one interface; what each takes more than a few lines for lies in a file of its own.

/** The `sessions` service on disk. */
export class DiskSessions implements SessionStore {
  readonly #clock: Clock
  // Given by `attach`, when the disk has been opened.
  #parts!: StoreParts
  #table!: SessionTable
  #lifeSigns!: LifeSigns
  #cleanWills!: CleanWills
  #events: SessionStoreEvents = { dropped: () => {}, lost: () => {}, appended: () => {} }
  #limits: QueueLimits = { messagesMax: 100_000, bytesMax: 64 * 1024 * 1024, whenFull: 'dropNewest' }
  // Their ending began in a run that could not finish it.
  #unfinished: StoredSession[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Takes up what the disk has; before anything else. */
  attach(parts: StoreParts): void {
    this.#parts = parts
    this.#lifeSigns = new LifeSigns(parts, this.#clock, () => this.#table.connected > 0)
    this.#table = new SessionTable(parts, this.#lifeSigns)
    this.#cleanWills = new CleanWills(parts, this.#lifeSigns.run)
    this.#unfinished = unfinishedEndings(parts.database)
    if (this.#lifeSigns.broken) {
      parts.log.warn(
        { sessions: this.#table.size, lastSeen: new Date(this.#table.lastSeen - parts.time.shift).toISOString() },
        'the broker was not stopped in order the last time; everything is as its last synced batch left it',
      )
    }
  }

  open(events: SessionStoreEvents, limits: QueueLimits): void {
    this.#events = events
    this.#limits = limits
  }

  sessions(): Iterable<StoredSubscriber> {
    return readSubscribers(this.#parts.database, this.#table)
  }

  claim(request: ClaimRequest): Claim | Promise<Claim> {
    const { clientId, user, userOnly } = request
    const known = this.#table.get(clientId)
    const isOver = known !== undefined && known.expiresAt <= this.#parts.time.now()
    if (userOnly && known !== undefined && !isOver && known.user !== undefined && known.user !== user)
      return Promise.reject(new SessionOwnedError(clientId, known.user))
    return answer(() => this.#cleanWills.withClaim(clientId, this.#claim(request, known, isOver)))
  }

  #claim(
    { clientId, node, user, cleanStart, expiryMs, will }: ClaimRequest,
    known: StoredSession | undefined,
    isExpired: boolean,
  ): Claim | Promise<Claim> {
    const { numbers, commit } = this.#parts
    if (known === undefined && expiryMs === 0) return newClaim(numbers.next(), null)
    const refusal = known === undefined ? commit.refusalOfNew : commit.refusalOfClaim
    if (refusal !== null) return Promise.reject(refusal)
    const epoch = numbers.next()
    const isOver = known !== undefined && (cleanStart || isExpired)
    const ending = isOver ? this.#end(known) : null
    // Where the disk takes nothing more, both fail, and one of them is looked at.
    ending?.catch(() => {})
    const present = known !== undefined && !isOver
    if (!present && expiryMs === 0) return ending!.then(ended => newClaim(epoch, handOn(ended)))
    const session = present ? known : this.#table.add(new StoredSession(clientId, epoch))
    const queue = this.#table.queueOf(session)
    session.epoch = epoch
    session.node = String(node)
    session.user = user
    const hadWill = session.willDelayMs >= 0
    session.willDelayMs = will === null ? -1 : will.delayMs
    session.expiryMs = expiryMs
    this.#table.connect(session)
    if (will !== null) commit.put(numberKey(Kind.Will, session.number), encodeWill(will))
    else if (hadWill) commit.remove(numberKey(Kind.Will, session.number))
    this.#write(session)
    // Batches come on disk in order, so all that was written before is there too.
    const queued = { messages: queue.messages, bytes: queue.bytes }
    return this.#claimed(session, epoch, present, queued, this.#kept(session), ending)
  }

  async #claimed(
    { number }: StoredSession,
    epoch: number,
    present: boolean,
    queued: Claim['queued'],
    kept: Promise<void>,
    ending: Promise<Ending> | null,
  ): Promise<Claim> {
    await kept
    if (!present) return newClaim(epoch, ending === null ? null : handOn(await ending))
    const { database } = this.#parts
    return {
      epoch,
      present,
      subscriptions: readSubscriptions(database, number),
      receivedIds: readReceivedIds(database, number),
      queued,
      ended: null,
    }
  }

  append(message: Message, targets: readonly AppendTarget[], received: ReceivedId | null): Done {
    return answer(() => this.#append(message, targets, received))
  }

  #append(message: Message, targets: readonly AppendTarget[], received: ReceivedId | null): Done {
    const { commit } = this.#parts
    const refusal = commit.refusalOfNew
    if (refusal !== null) return Promise.reject(refusal)
    if (received !== null) {
      const publisher = this.#owned(received.session)
      if (publisher === null) return rejectLost(received.session)
      publisher.batch = commit.batch
      commit.put(receivedKey(publisher.number, received.packetId), nothing)
      this.#parts.spread.received(publisher.number, received.packetId)
    }
    const bytes = queuedBytes(message)
    // Taps that hear of a drop may publish in the middle of this, so nothing here is shared with the next call.
    let accepting: StoredSession[] = []
    let accepted: AppendTarget[] = []
    let seen: Set<StoredSession> | null = null
    for (let i = 0; i < targets.length; i++) {
      const target = targets[i]!
      if (target.group !== null) {
        // A session that gets the message by its own subscription and as a member of a group has two entries, each under a position of its own.
        seen ??= new Set(accepting)
        const known = this.#table.get(target.clientId)
        if (known !== undefined && seen.has(known)) {
          this.#enqueue(message, bytes, accepting, accepted)
          accepting = []
          accepted = []
          seen.clear()
        }
      }
      const session = this.#accepting(message, bytes, target)
      if (session === null) continue
      accepting.push(session)
      accepted.push(target)
      seen?.add(session)
    }
    if (accepting.length > 0) this.#enqueue(message, bytes, accepting, accepted)
    return commit.kept()
  }

  #enqueue(message: Message, bytes: number, accepting: readonly StoredSession[], targets: readonly AppendTarget[]): void {
    const { commit, bodies, numbers, time } = this.#parts
    const position = numbers.next()
    const dropsOldest = this.#limits.whenFull === 'dropOldest'
    // Stored once: in the entry itself where it is the only one, else among the bodies.
    const value = accepting.length === 1 ? encodeMessage(message, entryHeadBytes(targets[0]!), false, time.shift) : null
    if (value === null) bodies.put(position, encodeMessage(message, bodyHeadBytes, false, time.shift), accepting.length)
    for (let i = 0; i < accepting.length; i++) {
      const session = accepting[i]!
      const target = targets[i]!
      const packetId = target.epoch === session.epoch ? target.packetId : 0
      session.batch = commit.batch
      session.queue!.append(position, target, packetId, message, bytes + identifierBytes(target.identifiers), value, dropsOldest)
    }
  }

  // Who gets a message: nobody where the session is no more, or its queue is full.
  #accepting(message: Message, bytes: number, { clientId, packetId, epoch, identifiers }: AppendTarget): StoredSession | null {
    const session = this.#table.get(clientId)
    if (packetId !== 0 && session?.epoch !== epoch) this.#events.lost({ clientId, epoch })
    // While a claim that begins a new session is under way, messages still come by what the one before had subscribed to.
    const isOfOneBefore = session !== undefined && epoch !== 0 && epoch < session.number
    if (session === undefined || isOfOneBefore) {
      this.#events.dropped(clientId, message, 'sessionEnded')
      return null
    }
    const queue = session.queue ?? this.#table.queueOf(session)
    const size = bytes + identifierBytes(identifiers)
    for (;;) {
      const room = roomFor(this.#limits, queue.messages, queue.bytes, size)
      if (room === 'fits') return session
      const oldest = room === 'dropOldest' ? queue.dropOldest() : undefined
      this.#events.dropped(clientId, oldest ?? message, 'queueFull')
      if (oldest === undefined) return null
    }
  }

  readonly lasting: LastingPart = {
    connected: ({ clientId, epoch }, node) => {
      const session = this.#table.get(clientId)
      if (session === undefined || session.epoch > epoch || session.number > epoch) return null
      session.epoch = epoch
      session.node = node
      this.#table.connect(session)
      this.#write(session)
      return session.expiryMs
    },
    orphanedWill: clientId => this.#cleanWills.handOut(clientId),
    intend: (received, digest) => {
      const publisher = this.#owned(received.session)
      if (publisher === null) return rejectLost(received.session)
      const { commit, spread } = this.#parts
      const refusal = commit.refusalOfNew
      if (refusal !== null) return Promise.reject(refusal)
      const intention = spread.intend(publisher.number, received.packetId, digest)
      return this.#kept(publisher).then(() => intention)
    },
    isIntended: ({ clientId }, packetId) => {
      const publisher = this.#table.get(clientId)
      return publisher !== undefined && this.#parts.spread.intends(publisher.number, packetId)
    },
    tokens: () => this.#parts.spread.tokens(),
    keepTokens: needed => this.#parts.spread.keepTokens(needed),
    appendOnce: (message, targets, token, taken) => {
      const { commit, spread } = this.#parts
      const refusal = commit.refusalOfNew
      if (refusal !== null) return Promise.reject(refusal)
      const fresh: AppendTarget[] = []
      for (const target of targets) {
        const session = this.#table.get(target.clientId)
        if (session !== undefined && spread.has(session.number, token)) taken(target)
        else fresh.push(target)
      }
      if (fresh.length === 0) return commit.kept()
      for (const { clientId } of fresh) {
        const session = this.#table.get(clientId)
        if (session === undefined || spread.has(session.number, token)) continue
        session.batch = commit.batch
        spread.take(session.number, token)
      }
      // Behind the tokens, because a batch may end with it.
      return this.append(message, fresh, null)
    },
    through: (token, clientIds) => {
      for (const clientId of clientIds) {
        const session = this.#table.get(clientId)
        if (session === undefined) continue
        session.batch = this.#parts.commit.batch
        this.#parts.spread.through(session.number, token)
      }
    },
  }

  page(key: SessionKey, position: number, limit: number): readonly QueueEntry[] | Promise<readonly QueueEntry[]> {
    const session = this.#owned(key)
    if (session === null) return rejectLost(key)
    const { commit } = this.#parts
    const lost = (): void => this.#events.dropped(key.clientId, lostMessage(this.#clock.now()), 'storeFailed')
    return answer((): readonly QueueEntry[] | Promise<readonly QueueEntry[]> => {
      const queue = this.#table.queueOf(session)
      const needed = queue.pageNeeds(position)
      if (needed > 0) return commit.settled(Math.max(needed, queue.endNeeds)).then(() => queue.page(position, limit, lost))
      const entries = queue.page(position, limit, lost)
      const end = queue.endNeeds
      if (entries.length === limit || end === 0) return entries
      return commit.settled(end).then(() => queue.page(position, limit, lost))
    })
  }

  send(key: SessionKey, position: number, packetId: number): Done {
    return this.#changeQueue(key, queue => queue.send(position, packetId))
  }

  ack(key: SessionKey, packetId: number): Done {
    return this.#changeQueue(key, queue => queue.ack(packetId))
  }

  remove(key: SessionKey, position: number): Done {
    return this.#changeQueue(key, queue => queue.remove(position))
  }

  release(key: SessionKey, packetId: number): Done {
    return this.#changeQueue(key, queue => queue.release(packetId))
  }

  #changeQueue(key: SessionKey, change: (queue: SessionQueue) => void): Done {
    const session = this.#writable(key)
    if (session instanceof Promise) return session
    return answer(() => {
      change(this.#table.queueOf(session))
      return this.#kept(session)
    })
  }

  forget(key: SessionKey, packetId: number): Done {
    const session = this.#writable(key)
    if (session instanceof Promise) return session
    this.#parts.commit.remove(receivedKey(session.number, packetId))
    return this.#kept(session)
  }

  subscribe(key: SessionKey, subscriptions: readonly Subscription[]): Done {
    const session = this.#writable(key)
    if (session instanceof Promise) return session
    session.subscriptionChanges += 1
    for (const subscription of subscriptions) {
      this.#parts.commit.put(subscriptionKey(session.number, subscription.filter), encodeSubscription(subscription))
    }
    return this.#kept(session)
  }

  unsubscribe(key: SessionKey, filters: readonly string[]): Done {
    const session = this.#writable(key)
    if (session instanceof Promise) return session
    session.subscriptionChanges += 1
    for (const filter of filters) this.#parts.commit.remove(subscriptionKey(session.number, filter))
    return this.#kept(session)
  }

  close(key: SessionKey, expiryMs: number, keepWill: boolean, closedAt = this.#clock.now()): Done {
    const session = this.#writable(key)
    if (session instanceof Promise) return session
    session.expiryMs = expiryMs
    if (!keepWill && session.willDelayMs >= 0) {
      session.willDelayMs = -1
      this.#parts.commit.remove(numberKey(Kind.Will, session.number))
    }
    this.#table.disconnect(session, closedAt + this.#parts.time.shift)
    this.#write(session)
    return this.#kept(session)
  }

  end(key: SessionKey): EndedSession | null | Promise<EndedSession | null> {
    if (this.#table.get(key.clientId) === undefined) return null
    const session = this.#writable(key)
    return session instanceof Promise ? session : this.#end(session).then(handOn)
  }

  trouble(): Error | null {
    return this.#parts.commit.refusalOfClaim
  }

  room(): StoreRoom {
    const { commit, database } = this.#parts
    const { free, used } = database.space()
    return { full: commit.isFull, freeBytes: free, usedBytes: used }
  }

  expire(at: number, limit: number): readonly Due[] | Promise<readonly Due[]> {
    const now = at + this.#parts.time.shift
    if (this.#parts.commit.refusalOfClaim !== null) return []
    const found: Promise<DueAnswer>[] = []
    while (found.length < limit && this.#unfinished.length > 0) {
      found.push(expired(finishEnding(this.#parts, this.#unfinished.shift()!, this.#events)))
    }
    for (let orphaned: OrphanedWill | undefined; found.length < limit; ) {
      orphaned = this.#cleanWills.next()
      if (orphaned === undefined) break
      const { clientId, will, done } = orphaned
      found.push(Promise.resolve({ due: will === null ? null : { kind: 'will', clientId, will }, done }))
    }
    while (found.length < limit) {
      const session = this.#table.nextDue(now)
      if (session === undefined) break
      found.push(session.expiresAt <= now ? expired(this.#end(session)) : this.#willDue(session))
    }
    return found.length === 0 ? [] : Promise.all(found).then(all => handAllOn(all))
  }

  async flush(): Promise<void> {
    const { commit } = this.#parts
    if (commit.refusalOfClaim === null) await commit.kept()
  }

  keepWill(clientId: string, node: string | number, will: StoredWill | null): Done {
    const { commit } = this.#parts
    const refusal = will === null ? commit.refusal : commit.refusalOfNew
    if (refusal !== null) return Promise.reject(refusal)
    this.#cleanWills.keep(clientId, String(node), will)
    return commit.kept()
  }

  totals(): StoreTotals | Promise<StoreTotals> {
    return storeTotals(this.#parts, this.#table, this.#unfinished)
  }

  peek(clientId: string, position: number, limit: number): readonly QueueEntry[] | null | Promise<readonly QueueEntry[]> {
    const session = this.#table.get(clientId)
    if (session === undefined) return null
    return answer(() => peekQueue(this.#parts, session, position, limit))
  }

  inspect(clientId: string): StoredSessionState | null | Promise<StoredSessionState | null> {
    const session = this.#table.get(clientId)
    return session === undefined ? null : stateOf(this.#parts, session)
  }

  list(after: string | null, limit: number): Promise<SessionPage> {
    return listSessions(this.#parts, this.#table, after, limit)
  }

  /** Whose session has a number, for whoever names a row of it. */
  clientOf(number: number): string | undefined {
    for (const session of this.#table?.values() ?? []) if (session.number === number) return session.clientId
    return undefined
  }

  /** What an earlier run was killed over, and this one hands on by `expire`: a clause each. */
  get owed(): string[] {
    const wills = this.#cleanWills.due
    return [
      ...(this.#unfinished.length > 0 ? [`${this.#unfinished.length} sessions were about to end`] : []),
      ...(wills > 0 ? [`${wills} wills of clients that were connected to it are due`] : []),
    ]
  }

  /** The broker stops: what is left is written. */
  detach(): void {
    this.#lifeSigns.stop(this.#table.connected === 0)
    this.#parts.totals.stop()
  }

  async #willDue(session: StoredSession): Promise<DueAnswer> {
    const { clientId, number } = session
    const { commit, database, log } = this.#parts
    session.willDelayMs = -1
    this.#table.schedule(session)
    await commit.settled(session.batch)
    const row = numberKey(Kind.Will, number)
    const done = (): void => {
      if (this.#table.get(clientId) !== session) return
      // Somebody who has come back meanwhile may have brought a new one.
      if (session.willDelayMs < 0) commit.remove(row)
      this.#write(session)
    }
    const will = readWill(log, clientId, database.get(row))
    return { due: will === null ? null : { kind: 'will', clientId, will }, done }
  }

  #end(session: StoredSession): Promise<Ending> {
    this.#table.delete(session)
    beginEnding(this.#parts, session)
    return finishEnding(this.#parts, session, this.#events)
  }

  #write(session: StoredSession): void {
    const { commit } = this.#parts
    session.batch = commit.batch
    commit.put(numberKey(Kind.Session, session.number), encodeSession(session))
  }

  #kept(session: StoredSession): Promise<void> {
    const { commit } = this.#parts
    session.batch = commit.batch
    return commit.kept()
  }

  #owned({ clientId, epoch }: SessionKey): StoredSession | null {
    const session = this.#table.get(clientId)
    return session !== undefined && session.epoch === epoch ? session : null
  }

  #writable(key: SessionKey): StoredSession | Promise<never> {
    const session = this.#owned(key)
    if (session === null) return rejectLost(key)
    const { refusal } = this.#parts.commit
    return refusal === null ? session : Promise.reject(refusal)
  }
}
