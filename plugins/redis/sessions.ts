import type { Log } from '../../core/log.ts'
import type { Message } from '../../core/messages/message.ts'
import { decodeWill, encodeWill } from '../../core/messages/stored-message.ts'
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
  type SessionStore,
  type SessionStoreEvents,
  StoreAwayError,
  type StoredSubscriber,
} from '../../core/sessions/session-store.ts'
import type { Clock } from '../../core/time/clock.ts'
import { Appender } from './append.ts'
import { Bodies, lostMessage } from './bodies.ts'
import { type EndedFields, EndedSessions } from './ended-sessions.ts'
import { Expiry } from './expiry.ts'
import { Loader } from './loader.ts'
import { Lookup } from './lookup.ts'
import { type Note, readNotes } from './notes.ts'
import { ack } from './operations/ack.ts'
import { type Claimed, claim, claimedOf } from './operations/claim.ts'
import { close } from './operations/close.ts'
import { end } from './operations/end.ts'
import { forget } from './operations/forget.ts'
import { release } from './operations/release.ts'
import { remove } from './operations/remove.ts'
import { send } from './operations/send.ts'
import { subscribe, subscription } from './operations/subscribe.ts'
import { unsubscribe, unsubscribed } from './operations/unsubscribe.ts'
import { decodeQueueEntry } from './queue-entry.ts'
import { sessionField as field, identifierField, releasedMark } from './script/layout.ts'
import type { OwnerScript } from './script/operation-script.ts'
import { pageScript } from './script/page-script.ts'
import type { SlotWriters } from './slot-writers.ts'
import { decodeSubscription, encodeSubscription, FilterIndex } from './subscriptions.ts'
import { nothing, type Rows, Writes } from './writes.ts'

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
const nothingQueued = { messages: 0, bytes: 0 }
// So many clean sessions may begin while it is not known yet which are stored.
const cleanMeanwhileMax = 1_000_000
// So many sessions of a dead node are seen to at once.
const orphansMax = 1000

/** The `sessions` service on Redis. */
export class RedisSessions implements SessionStore {
  readonly writes: Writes
  readonly bodies: Bodies
  readonly expiry: Expiry
  looksUpSubscribers = false
  readonly #writers: SlotWriters
  readonly #node: string
  readonly #clock: Clock
  readonly #log: Log
  readonly #index: FilterIndex
  readonly #lookup: Lookup
  readonly #ended: EndedSessions
  readonly #appender: Appender
  readonly #loader: Loader
  readonly #owned = new Map<string, Owned>()
  // Which sessions are stored: a clean session whose client id is not among them needs nothing of Redis.
  readonly #known = new Set<string>()
  readonly #cleanMeanwhile = new Set<string>()
  // Stored sessions whose clients are connected to other nodes, and to which.
  readonly #elsewhere = new Map<string, string>()
  #events: SessionStoreEvents = { dropped: () => {}, lost: () => {}, appended: () => {} }
  #opened = false
  #loading = false
  #loaded = false
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
    this.#log = log
    this.writes = new Writes(writers)
    this.bodies = new Bodies(this.writes, log)
    this.#index = new FilterIndex(this.writes)
    this.#lookup = new Lookup(this.writes)
    const dropped: SessionStoreEvents['dropped'] = (clientId, message, reason) => this.#events.dropped(clientId, message, reason)
    this.#ended = new EndedSessions(this.writes, this.bodies, this.#index, dropped)
    this.#appender = new Appender(this.writes, this.bodies, {
      dropped,
      lost: session => this.#events.lost(session),
      placed: (session, packetId, position) => this.#ownedBy(session)?.positions.set(packetId, position),
    })
    this.expiry = new Expiry(this.writes, this.#ended, clock, clientId => this.#known.delete(clientId))
    this.#loader = new Loader(this.writes, clock, node)
  }

  /** All stored sessions are known, so routing misses none. */
  get loaded(): boolean {
    return this.#loaded
  }

  trouble(): Error | null {
    return this.#writers.link.up ? null : new StoreAwayError('Redis is away; the log says why')
  }

  open(events: SessionStoreEvents, limits: QueueLimits): void {
    this.#events = events
    this.#writers.limits = limits
    this.#opened = true
  }

  async *sessions(): AsyncIterable<StoredSubscriber> {
    if (!this.#writers.link.ready) return this.onUnloaded()
    this.#loading = true
    const told = new Set<string>()
    try {
      for await (const subscriber of this.#loader.sessions(!this.#loaded)) {
        this.#remember(subscriber)
        // Where keys move about meanwhile, Redis may name one twice.
        if (told.has(subscriber.clientId)) continue
        told.add(subscriber.clientId)
        yield subscriber
      }
      this.#loaded = true
    } catch (error) {
      this.#log.warn({ err: error as Error }, 'redis went away while its sessions were read; the rest follows when it is back')
      this.onUnloaded()
    } finally {
      this.#loading = false
    }
  }

  /** Said now and then: should this broker end without a word, the clocks of its sessions start here. */
  signOfLife(): void {
    if (this.#loaded && this.#writers.link.up) this.#loader.sign().catch(() => {})
  }

  /** Redis is there: what could not be read at start is read now. */
  async resume(): Promise<void> {
    if (!this.#opened || this.#loaded || this.#loading) return
    this.#loading = true
    try {
      for await (const subscriber of this.#loader.sessions()) {
        if (this.#known.has(subscriber.clientId)) continue
        this.#remember(subscriber)
        // A clean session has begun under its name, which was its end.
        if (this.#cleanMeanwhile.has(subscriber.clientId)) this.expiry.endLater(subscriber.clientId)
        else this.#events.found?.(subscriber)
      }
      this.#loaded = true
      this.#cleanMeanwhile.clear()
      this.onLoaded()
    } catch (error) {
      this.#log.debug({ err: error as Error }, 'redis went away while its sessions were read')
    } finally {
      this.#loading = false
    }
  }

  #remember({ clientId, node }: StoredSubscriber): void {
    this.#known.add(clientId)
    if (node != null && node !== this.#node) this.#elsewhere.set(clientId, node)
    else this.#elsewhere.delete(clientId)
  }

  /** What another node's writes, or this one's, have done to stored sessions; all nodes see it in the same order. */
  noted(from: string, said: string): void {
    for (const note of readNotes(said, this.#writers.keys)) if (from !== this.#node) this.#noted(from, note)
  }

  #noted(from: string, { kind, clientId, epoch, more }: Note): void {
    const owned = this.#owned.get(clientId)
    // Whoever ends a session does so in its owner's time, and everything else comes from a later owner.
    if (owned !== undefined && (kind === 'e' ? owned.epoch > epoch : owned.epoch >= epoch)) return
    if (kind === 'e') {
      this.#owned.delete(clientId)
      this.#known.delete(clientId)
      this.#elsewhere.delete(clientId)
      this.#events.gone?.({ clientId, epoch })
      return
    }
    this.#known.add(clientId)
    if (kind === 'c') {
      this.#owned.delete(clientId)
      this.#elsewhere.set(clientId, from)
      this.#events.changed?.({ clientId, epoch, node: from })
    } else if (kind === 'p') {
      this.#elsewhere.delete(clientId)
      this.#events.changed?.({ clientId, epoch, node: null })
    } else if (kind === 's') {
      const subscribed: Subscription[] = []
      for (let i = 0; i < more.length; i += 2) subscribed.push(decodeSubscription(more[i]!, more[i + 1]!))
      this.#events.changed?.({ clientId, epoch, subscribed })
    } else if (kind === 'u') {
      this.#events.changed?.({ clientId, epoch, unsubscribed: more })
    }
  }

  /** Another node appended to sessions that are connected here; `null`: it may have, to any of them. */
  woken(sessionKeys: readonly string[] | null): void {
    if (sessionKeys === null) for (const clientId of this.#owned.keys()) this.#events.appended(clientId)
    for (const key of sessionKeys ?? []) {
      const clientId = this.#writers.keys.clientIdOf(key)
      if (clientId !== null && this.#owned.has(clientId)) this.#events.appended(clientId)
    }
  }

  /** Lets the clocks run of sessions whose nodes have died. */
  async parkOrphans(isLiving: (node: string) => boolean): Promise<void> {
    const now = this.#clock.now()
    const orphans = [...this.#elsewhere].filter(([, node]) => !isLiving(node)).slice(0, orphansMax)
    await Promise.all(
      orphans.map(async ([clientId, node]) => {
        await this.#loader.park(clientId, node, now)
        if (this.#elsewhere.get(clientId) === node) this.#elsewhere.delete(clientId)
      }),
    )
  }

  claim(request: ClaimRequest): Claim | Promise<Claim> {
    const { clientId, cleanStart, expiryMs } = request
    if (expiryMs === 0) {
      if (this.#loaded && !this.#known.has(clientId)) return this.#nothingStored()
      if (!this.#loaded && cleanStart && this.#cleanMeanwhile.size < cleanMeanwhileMax) {
        this.#cleanMeanwhile.add(clientId)
        return this.#nothingStored()
      }
    }
    if (!this.#loaded || this.#writers.of(this.#writers.keys.session(clientId)).away) {
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
    const { clientId, node, cleanStart, expiryMs, will } = request
    const willBytes = will === null ? Buffer.alloc(0) : encodeWill(will)
    const { epoch, present, ended, fields, names, orphan } = await this.writes.write(
      this.#writers.keys.session(clientId),
      out =>
        claim.write(out, {
          session: clientId,
          clean: cleanStart ? 1 : 0,
          expiry: finiteOr(-1, expiryMs),
          owner: String(node),
          delay: will?.delayMs ?? 0,
          will: willBytes,
        }),
      rows => this.#becomeOwner(request, claimedOf(rows)),
      {
        queue: clientId,
        bytes: smallBytes + willBytes.length,
        refusable: !this.#known.has(clientId),
        late: rows => this.#claimedLate(request, claimedOf(rows)),
      },
    )
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
    this.#elsewhere.delete(clientId)
    if (claimed.present || expiryMs > 0) {
      this.#known.add(clientId)
      const willDelayMs = will?.delayMs ?? Number.POSITIVE_INFINITY
      this.#owned.set(clientId, { epoch: claimed.epoch, positions: new Map(), willDelayMs })
    } else {
      this.#known.delete(clientId)
    }
    return claimed
  }

  // The client was told long ago that it cannot have its session; so nobody is there to close it.
  #claimedLate({ clientId, expiryMs }: ClaimRequest, { epoch, present, ended }: Claimed): void {
    if (ended !== null) this.expiry.endedLate(clientId, ended)
    if (!present && expiryMs === 0) return
    this.#known.add(clientId)
    this.close({ clientId, epoch }, expiryMs, false).catch(() => {})
  }

  append(message: Message, targets: readonly AppendTarget[], received: ReceivedId | null): Promise<void> {
    return this.#appender.append(message, targets, received)
  }

  async page(key: SessionKey, position: number, limit: number): Promise<readonly QueueEntry[]> {
    const { clientId, epoch } = key
    const session = { clientId, epoch }
    let after = position
    const { keys } = this.#writers
    const names = { session: keys.session(clientId), queue: keys.queue(clientId), identifiers: keys.identifiers(clientId) }
    const found: QueueEntry[] = []
    for (;;) {
      const [reply] = await this.#writers
        .of(names.session)
        .read([pageScript.whole(names, { epoch, position: after, limit: limit - found.length })])
      if (reply === null) throw new SessionLostError(clientId)
      const [members, states] = reply as [Buffer[], Buffer[]]
      const entries = members.map(decodeQueueEntry)
      const messages = await this.bodies.messagesOf(entries)
      const owned = this.#ownedBy(session)
      for (const [i, { position, packetId: given, qos, retain, identifiers, group }] of entries.entries()) {
        const message = messages[i]
        if (message === null || message === undefined) {
          this.#events.dropped(clientId, lostMessage(this.#clock.now()), 'storeFailed')
          void Promise.resolve(this.remove(session, position)).catch(() => {})
          continue
        }
        const state = states[i]!.toString()
        const released = state.endsWith(releasedMark)
        const packetId = given !== 0 ? given : Number.parseInt(state, 10) || 0
        if (packetId !== 0) owned?.positions.set(packetId, position)
        found.push({ position, message, qos, retain, identifiers, group, packetId, released })
      }
      if (entries.length === 0 || found.length === limit || members.length < limit) return found
      after = entries.at(-1)!.position
    }
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

  async close(session: SessionKey, expiryMs: number, keepWill: boolean): Promise<void> {
    const { clientId } = session
    const owned = this.#ownedBy(session)
    if (owned !== undefined) this.#owned.delete(clientId)
    const now = this.#clock.now()
    const values = { expiry: finiteOr(-1, expiryMs), keepWill: keepWill ? 1 : 0, from: now }
    const willAt = keepWill ? now + (owned?.willDelayMs ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY
    await Promise.all([
      this.writes.owner(session, close, values, nothing, { queue: clientId }),
      this.expiry.remember(clientId, Math.min(now + expiryMs, willAt)),
    ])
  }

  end(session: SessionKey): EndedSession | null | Promise<EndedSession | null> {
    return this.#known.has(session.clientId) ? this.#end(session) : null
  }

  async #end(session: SessionKey): Promise<EndedSession | null> {
    const { clientId } = session
    const { epoch } = session
    const fields = await this.writes.write(
      this.#writers.keys.session(clientId),
      out => end.write(out, { session: clientId, epoch }),
      rows => {
        const [row] = rows!
        if (row!.kind === 'lost') throw new SessionLostError(clientId)
        if (row!.kind !== 'ended') return null
        this.#owned.delete(clientId)
        this.#known.delete(clientId)
        return row!.values[0] as EndedFields
      },
      { queue: clientId },
    )
    return fields === null ? null : await this.#ended.empty(clientId, fields)
  }

  expire(now: number, limit: number): Promise<readonly Due[]> | readonly Due[] {
    return this.sweeps && this.#loaded && this.#writers.link.up ? this.expiry.expire(now, limit) : []
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
