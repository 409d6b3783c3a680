// Why it is long: the verbs of the session store, one method each; what they do stands in files beside it.
import type { Log } from '../../core/log.ts'
import type { Message } from '../../core/messages/message.ts'
import type { Subscription } from '../../core/routing/subscription.ts'
import {
  type AppendTarget,
  type Claim,
  type ClaimRequest,
  type Due,
  type EndedSession,
  type QueueEntry,
  type QueueLimits,
  type ReceivedId,
  type SessionKey,
  SessionLostError,
  type SessionPage,
  type SessionStore,
  type SessionStoreEvents,
  StoreAwayError,
  type StoredSessionState,
  type StoredSubscriber,
  type StoredWill,
  type StoreRoom,
  type StoreTotals,
} from '../../core/sessions/session-store.ts'
import type { Clock } from '../../core/time/clock.ts'
import { decodeWill, encodeWill } from '../kit/stored-message.ts'
import { Appender } from './append.ts'
import { Bodies, lostMessage } from './bodies.ts'
import { CleanWills } from './clean-wills.ts'
import { EndedSessions } from './ended-sessions.ts'
import { Expiry } from './expiry.ts'
import { Lookup } from './lookup.ts'
import type { EndedFields, Rows } from './operation.ts'
import { ack } from './operations/ack.ts'
import { type Claimed, claim, claimedOf, isOwned } from './operations/claim.ts'
import { close } from './operations/close.ts'
import { end } from './operations/end.ts'
import { forget } from './operations/forget.ts'
import { release } from './operations/release.ts'
import { remove } from './operations/remove.ts'
import { send } from './operations/send.ts'
import { subscribe, subscription } from './operations/subscribe.ts'
import { unsubscribe, unsubscribed } from './operations/unsubscribe.ts'
import { QueueReader } from './queue-reader.ts'
import { Restorer } from './restorer.ts'
import { sessionField as field, identifierField } from './script/layout.ts'
import type { OwnerScript } from './script/operation-script.ts'
import { stateOf } from './session-state.ts'
import { summariesOf } from './session-summaries.ts'
import type { SlotWriters } from './slot-writers.ts'
import { StoredSessions } from './stored-sessions.ts'
import { encodeSubscription, FilterIndex } from './subscriptions.ts'
import { Totals } from './totals.ts'
import { encodeUser } from './user-name.ts'
import { nothing, Writes } from './writes.ts'

/** What this process knows of a session that it owns. */
interface Owned {
  readonly epoch: number
  /** Where in the queue each packet identifier is; 0: it is not there. */
  readonly positions: Map<number, number>
  /** Milliseconds from the end of the connection to the will; `Infinity` without one. */
  readonly willDelayMs: number
}

/** An operation on the entry of a packet identifier. */
type PositionScript = OwnerScript<{ readonly position: 'double'; readonly packetId: 'twoBytes' }>

// What a small write keeps in memory until it is done.
const smallBytes = 200
const noBytes = Buffer.alloc(0)
const nothingQueued = { messages: 0, bytes: 0 }

/** The `sessions` service on Redis. Over 400 lines, because it holds all verbs of one interface; what each takes more than a few lines for lies in a file of its own. */
export class RedisSessions implements SessionStore {
  readonly writes: Writes
  readonly bodies: Bodies
  readonly expiry: Expiry
  looksUpSubscribers = false
  readonly #writers: SlotWriters
  readonly #node: string
  readonly #clock: Clock
  readonly #index: FilterIndex
  readonly #lookup: Lookup
  readonly #ended: EndedSessions
  readonly #appender: Appender
  readonly #reader: QueueReader
  readonly #totals: Totals
  readonly #restorer: Restorer
  readonly #cleanWills: CleanWills
  /** Which sessions are stored: a clean session whose client id is not among them needs nothing of Redis. */
  readonly stored: StoredSessions
  readonly #owned = new Map<string, Owned>()
  #events: SessionStoreEvents = { dropped: () => {}, lost: () => {}, appended: () => {} }
  #opened = false
  #localEpoch = 0
  /** Waits until everything that the other nodes have done is known here; null: there are none. */
  catchUp: (() => Promise<void>) | null = null
  /** Of the nodes of a cluster one looks for what has come due. */
  sweeps = true
  /** Called when all stored sessions have been handed over after all. */
  onLoaded: () => void = () => {}
  /** Called when the stored sessions could not be handed over at start. */
  onUnloaded: () => void = () => {}

  constructor(writers: SlotWriters, clock: Clock, log: Log, node: string | number) {
    this.#writers = writers
    this.#node = String(node)
    this.#clock = clock
    this.writes = new Writes(writers)
    this.bodies = new Bodies(this.writes)
    this.#index = new FilterIndex(this.writes)
    this.#lookup = new Lookup(this.writes)
    const dropped: SessionStoreEvents['dropped'] = (clientId, message, reason) => this.#events.dropped(clientId, message, reason)
    this.#ended = new EndedSessions(this.writes, this.bodies, this.#index, dropped)
    this.#appender = new Appender(this.writes, this.bodies, {
      dropped,
      lost: session => this.#events.lost(session),
      placed: (session, packetId, position) => this.#ownedBy(session)?.positions.set(packetId, position),
    })
    this.#reader = new QueueReader(writers, this.bodies)
    this.#totals = new Totals(this.writes)
    this.#restorer = new Restorer(writers, this.#node)
    this.#cleanWills = new CleanWills(this.writes, this.#node)
    this.stored = new StoredSessions(this.writes, this.#totals, this.#cleanWills, log, this.#node, {
      ownEpoch: clientId => this.#owned.get(clientId)?.epoch,
      notOwned: clientId => void this.#owned.delete(clientId),
      endLater: clientId => this.expiry.endLater(clientId),
      unloaded: () => this.onUnloaded(),
      loaded: () => this.onLoaded(),
      found: subscriber => this.#events.found?.(subscriber),
      changed: change => this.#events.changed?.(change),
      gone: session => this.#events.gone?.(session),
    })
    this.expiry = new Expiry(this.writes, this.#ended, clientId => this.stored.known.delete(clientId))
  }

  /** All stored sessions are known, so routing misses none. */
  get loaded(): boolean {
    return this.stored.isLoaded
  }

  trouble(): Error | null {
    return this.#writers.link.up ? null : new StoreAwayError('Redis is away; the log says why')
  }

  room(): StoreRoom {
    return { full: this.#writers.link.isFull, freeBytes: null }
  }

  open(events: SessionStoreEvents, limits: QueueLimits): void {
    this.#events = events
    this.#writers.limits = limits
    this.#opened = true
  }

  sessions(): AsyncIterable<StoredSubscriber> {
    return this.stored.read()
  }

  /** Redis is there: what could not be read at start is read now. */
  async resume(): Promise<void> {
    if (this.#opened) await this.stored.resume()
  }

  /**
   * What was kept is not there any more, as far as `isGone` says so of a key: the sessions of connected clients are written again, before everything that waits, and the others
   * are known no longer. Returns how many they are.
   */
  emptied(isGone: (key: string) => boolean): { readonly restored: number; readonly lost: number } {
    const { keys } = this.#writers
    this.#totals.emptied()
    const restored = new Set<string>()
    for (const session of this.#events.emptied?.() ?? []) {
      const { clientId, epoch } = session.key
      const key = keys.session(clientId)
      if (!isGone(key)) continue
      restored.add(clientId)
      let owned = this.#ownedBy(session.key)
      if (owned === undefined) {
        owned = { epoch, positions: new Map(), willDelayMs: session.will?.delayMs ?? Number.POSITIVE_INFINITY }
        this.#owned.set(clientId, owned)
      }
      const { positions } = owned
      this.stored.known.add(clientId, null)
      this.#restorer.restore(
        session,
        packetId => (positions.get(packetId) ?? 0) > 0,
        (packetId, position) => positions.set(packetId, position),
      )
      this.#totals.register(key).catch(() => {})
      this.#index.add(clientId, session.subscriptions).catch(() => {})
    }
    let lost = 0
    for (const clientId of [...this.stored.known.all]) {
      // What other nodes have is theirs to write again.
      if (restored.has(clientId) || this.stored.known.placeOf(clientId) !== undefined || !isGone(keys.session(clientId))) continue
      this.stored.known.delete(clientId)
      this.#owned.delete(clientId)
      this.#events.gone?.({ clientId, epoch: Number.POSITIVE_INFINITY })
      lost += 1
    }
    return { restored: restored.size, lost }
  }

  /** Some sessions that ought to be stored, and the epoch of each where it is known: those of clients that are connected here, or else any. */
  *sample(): Iterable<{ readonly key: string; readonly epoch: number | null }> {
    const { keys } = this.#writers
    if (this.#owned.size > 0) for (const [clientId, { epoch }] of this.#owned) yield { key: keys.session(clientId), epoch }
    else
      for (const clientId of this.stored.known.all)
        if (this.stored.known.placeOf(clientId) === undefined) yield { key: keys.session(clientId), epoch: null }
  }

  /** Another node appended to sessions that are connected here; `null`: it may have, to any of them. */
  woken(sessionKeys: readonly string[] | null): void {
    if (sessionKeys === null) for (const clientId of this.#owned.keys()) this.#events.appended(clientId)
    for (const key of sessionKeys ?? []) {
      const clientId = this.#writers.keys.clientIdOf(key)
      if (clientId !== null && this.#owned.has(clientId)) this.#events.appended(clientId)
    }
  }

  claim(request: ClaimRequest): Claim | Promise<Claim> {
    const { clientId, cleanStart, expiryMs, userOnly } = request
    const { stored } = this
    if (expiryMs === 0) {
      if (stored.isLoaded && !stored.known.has(clientId) && !this.#cleanWills.hasOrphan(clientId)) return this.#nothingStored()
      // Whose the stored session is that this would end is not known either.
      if (!stored.isLoaded && cleanStart && !userOnly && stored.beginsClean(clientId)) return this.#nothingStored()
    }
    if (!stored.isLoaded || this.#writers.of(this.#writers.keys.session(clientId)).away) {
      return Promise.reject(new StoreAwayError('Redis is away, so nobody knows this session or can keep it'))
    }
    return this.#claim(request)
  }

  // Nobody asks for this epoch: such a session never writes here.
  #nothingStored(): Claim {
    this.#localEpoch += 1
    return { epoch: this.#localEpoch, present: false, subscriptions: [], receivedIds: [], queued: nothingQueued, ended: null }
  }

  async #claim(request: ClaimRequest): Promise<Claim> {
    const { clientId, node, user, userOnly, cleanStart, expiryMs, will } = request
    const { keys } = this.#writers
    const willBytes = will === null ? noBytes : encodeWill(will, this.#writers.messageFormat)
    const key = keys.session(clientId)
    const registered = this.#totals.register(key)
    const [{ epoch, present, ended, fields, names, orphan }] = await Promise.all([
      this.writes.write(
        key,
        out =>
          claim.write(out, {
            session: clientId,
            clean: cleanStart ? 1 : 0,
            expiry: finiteOr(-1, expiryMs),
            owner: String(node),
            user: encodeUser(user),
            userOnly: userOnly ? 1 : 0,
            delay: will?.delayMs ?? 0,
            will: willBytes,
            cleanWills: keys.cleanWills(clientId),
            run: this.#cleanWills.run,
          }),
        rows => this.#becomeOwner(request, claimedOf(clientId, rows)),
        {
          queue: clientId,
          bytes: smallBytes + willBytes.length,
          refusable: !this.stored.known.has(clientId),
          late: rows => this.#claimedLate(request, rows),
        },
      ),
      registered,
    ])
    // What this client has published through another node may lie in the queues of sessions that are connected here; they must know before it
    // publishes more, or the later message would go out before the earlier one.
    if (present && this.catchUp !== null) await this.catchUp().catch(() => {})
    return {
      epoch,
      present,
      subscriptions: this.#ended.subscriptionsOf(fields),
      receivedIds: names.flatMap(name =>
        name.startsWith(identifierField.inbound) ? [Number(name.slice(identifierField.inbound.length))] : [],
      ),
      queued: { messages: numberOf(fields, field.count), bytes: numberOf(fields, field.bytes) },
      ended: ended === null ? null : await this.#ended.empty(clientId, ended),
      orphanedWill: orphan.length === 0 ? null : decodeWill(orphan),
    }
  }

  // In the very call in which the answer is read: what stands behind the claim in the same batch is this owner's.
  #becomeOwner({ clientId, expiryMs, will }: ClaimRequest, claimed: Claimed): Claimed {
    if (claimed.present || expiryMs > 0) {
      this.stored.known.add(clientId, null)
      const willDelayMs = will?.delayMs ?? Number.POSITIVE_INFINITY
      this.#owned.set(clientId, { epoch: claimed.epoch, positions: new Map(), willDelayMs })
    } else {
      this.stored.known.delete(clientId)
    }
    return claimed
  }

  // The client was told long ago that it cannot have its session; so nobody is there to close it.
  #claimedLate({ clientId, expiryMs }: ClaimRequest, rows: Rows): void {
    if (isOwned(rows)) return
    const { epoch, present, ended } = claimedOf(clientId, rows)
    if (ended !== null) this.expiry.endedLate(clientId, ended)
    if (!present && expiryMs === 0) return
    this.stored.known.add(clientId, null)
    this.close({ clientId, epoch }, expiryMs, false).catch(() => {})
  }

  append(message: Message, targets: readonly AppendTarget[], received: ReceivedId | null): Promise<void> {
    return this.#appender.append(message, targets, received)
  }

  async page(key: SessionKey, position: number, limit: number): Promise<readonly QueueEntry[]> {
    const { clientId, epoch } = key
    const session = { clientId, epoch }
    const found = await this.#reader.read(clientId, epoch, position, limit, missing => {
      this.#events.dropped(clientId, lostMessage(this.#clock.now()), 'storeFailed')
      this.remove(session, missing).catch(() => {})
    })
    if (found === null) throw new SessionLostError(clientId)
    const owned = this.#ownedBy(session)
    if (owned !== undefined) for (const entry of found) if (entry.packetId !== 0) owned.positions.set(entry.packetId, entry.position)
    return found
  }

  peek(clientId: string, position: number, limit: number): Promise<readonly QueueEntry[] | null> {
    return this.#reader.read(clientId, null, position, limit, nothing)
  }

  inspect(clientId: string): Promise<StoredSessionState | null> {
    return stateOf(this.#writers, clientId)
  }

  totals(): Promise<StoreTotals> {
    return this.#totals.read()
  }

  async list(after: string | null, limit: number): Promise<SessionPage> {
    if (!this.stored.isLoaded) throw new StoreAwayError('Redis has been away since the start, so nobody knows its sessions')
    const { clientIds, next } = this.stored.known.page(Number(after ?? 0), limit)
    return { sessions: await summariesOf(this.#writers, clientIds), next: next === null ? null : String(next) }
  }

  keepWill(clientId: string, node: string | number, will: StoredWill | null): Promise<void> {
    return this.#cleanWills.keep(clientId, String(node), will)
  }

  send(session: SessionKey, position: number, packetId: number): Promise<void> {
    this.#ownedBy(session)?.positions.set(packetId, position)
    return this.#atPosition(session, send, position, packetId)
  }

  ack(session: SessionKey, packetId: number): Promise<void> {
    const positions = this.#ownedBy(session)?.positions
    const position = positions?.get(packetId) ?? 0
    positions?.delete(packetId)
    return this.#atPosition(session, ack, position, packetId)
  }

  release(session: SessionKey, packetId: number): Promise<void> {
    return this.#atPosition(session, release, this.#ownedBy(session)?.positions.get(packetId) ?? 0, packetId)
  }

  remove(session: SessionKey, position: number): Promise<void> {
    return this.writes.owner(session, remove, { position }, this.#unreferAll, { queue: session.clientId })
  }

  #atPosition(session: SessionKey, script: PositionScript, position: number, packetId: number): Promise<void> {
    return this.writes.owner(session, script, { position, packetId }, this.#unreferAll, { queue: session.clientId })
  }

  // On Redis Cluster the script cannot reach the body of an entry that has gone.
  readonly #unreferAll = (rows: Rows): void => {
    if (rows === null) return
    for (const { kind, values } of rows) {
      if (kind === 'unrefer') this.bodies.unrefer({ id: String(values[0]), ordinal: values[1] as number }).catch(() => {})
    }
  }

  forget(key: SessionKey, packetId: number): Promise<void> {
    const { clientId, epoch } = key
    const session = { clientId, epoch }
    const write = (): Promise<void> => this.writes.owner(session, forget, { packetId }, nothing)
    const publishing = this.#appender.publishing({ session, packetId })
    if (publishing === undefined) return write()
    const done = publishing.then(write)
    this.#appender.follows({ session, packetId }, done)
    return done
  }

  subscribersOf(topic: string): Promise<StoredSubscriber[]> {
    return this.#writers.link.up ? this.#lookup.subscribersOf(topic) : Promise.reject(this.trouble()!)
  }

  async subscribe(session: SessionKey, subscriptions: readonly Subscription[]): Promise<void> {
    const { clientId } = session
    const bytes = subscriptions.reduce((sum, { filter }) => sum + filter.length, smallBytes)
    await this.writes.owner(session, subscribe, { count: subscriptions.length }, nothing, {
      refusable: true,
      bytes,
      repeated: out => {
        for (const one of subscriptions) subscription.write(out, { filter: one.filter, options: encodeSubscription(one) })
      },
    })
    await this.#index.add(clientId, subscriptions)
  }

  async unsubscribe(session: SessionKey, filters: readonly string[]): Promise<void> {
    const { clientId } = session
    await this.writes.owner(session, unsubscribe, { count: filters.length }, nothing, {
      repeated: out => {
        for (const filter of filters) unsubscribed.write(out, { filter })
      },
    })
    await this.#index.remove(clientId, filters)
  }

  async close(session: SessionKey, expiryMs: number, keepWill: boolean, closedAt = this.#clock.now()): Promise<void> {
    const { clientId } = session
    const owned = this.#ownedBy(session)
    if (owned !== undefined) this.#owned.delete(clientId)
    const from = closedAt + this.#writers.time.shift
    const values = { expiry: finiteOr(-1, expiryMs), keepWill: keepWill ? 1 : 0, from }
    const willAt = keepWill ? from + (owned?.willDelayMs ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY
    await Promise.all([
      this.writes.owner(session, close, values, nothing, { queue: clientId }),
      this.expiry.remember(clientId, Math.min(from + expiryMs, willAt)),
    ])
  }

  end(session: SessionKey): EndedSession | null | Promise<EndedSession | null> {
    return this.stored.known.has(session.clientId) ? this.#end(session) : null
  }

  async #end(session: SessionKey): Promise<EndedSession | null> {
    const { clientId, epoch } = session
    const fields = await this.writes.write(
      this.#writers.keys.session(clientId),
      out => end.write(out, { session: clientId, epoch }),
      rows => {
        const [row] = rows!
        if (row!.kind === 'lost') throw new SessionLostError(clientId)
        if (row!.kind !== 'ended') return null
        this.#owned.delete(clientId)
        this.stored.known.delete(clientId)
        return row!.values[0] as EndedFields
      },
      { queue: clientId },
    )
    return fields === null ? null : await this.#ended.empty(clientId, fields)
  }

  async expire(now: number, limit: number): Promise<readonly Due[]> {
    if (!this.stored.isLoaded || !this.#writers.link.up) return []
    const wills = await this.#cleanWills.due(limit, !this.sweeps)
    return this.sweeps && wills.length < limit
      ? [...wills, ...(await this.expiry.expire(now + this.#writers.time.shift, limit - wills.length))]
      : wills
  }

  async flush(): Promise<void> {
    if (this.#writers.link.up) await this.#writers.whenIdle()
  }

  #ownedBy({ clientId, epoch }: SessionKey): Owned | undefined {
    const owned = this.#owned.get(clientId)
    return owned?.epoch === epoch ? owned : undefined
  }
}

/** Infinity has no place in what Lua writes as text. */
function finiteOr(otherwise: number, ms: number): number {
  return Number.isFinite(ms) ? ms : otherwise
}

function numberOf(fields: ReadonlyMap<string, Buffer>, name: string): number {
  return Number(fields.get(name)?.toString() ?? 0)
}
