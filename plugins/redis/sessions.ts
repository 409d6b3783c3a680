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
import { Code } from './batch-script.ts'
import type { BatchWriter } from './batch-writer.ts'
import { Bodies, lostMessage } from './bodies.ts'
import { decodeEntry } from './entry.ts'
import { Expiry } from './expiry.ts'
import { type EndedFields, Graves } from './graves.ts'
import type { Lanes } from './lanes.ts'
import { Loader } from './loader.ts'
import { Lookup } from './lookup.ts'
import { type Note, readNotes } from './notes.ts'
import { pageScript } from './page-script.ts'
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

// What a small write keeps in memory until it is done.
const smallBytes = 200
const nothingQueued = { messages: 0, bytes: 0 }
// So many clean sessions may begin while it is not known yet which are stored.
const cleanMeanwhileMax = 1_000_000
// So many sessions of a dead node are seen to at once.
const orphansMax = 1000
const noBytes = Buffer.alloc(0)

/** The `sessions` service on Redis. */
export class RedisSessions implements SessionStore {
  readonly writes: Writes
  readonly bodies: Bodies
  readonly expiry: Expiry
  readonly #lanes: Lanes
  readonly #node: string
  readonly #clock: Clock
  readonly #log: Log
  readonly #index: FilterIndex
  readonly #lookup: Lookup
  readonly #graves: Graves
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

  constructor(lanes: Lanes, clock: Clock, log: Log, node: string | number) {
    this.#lanes = lanes
    this.#node = String(node)
    this.#clock = clock
    this.#log = log
    this.writes = new Writes(lanes)
    this.bodies = new Bodies(this.writes, log)
    this.#index = new FilterIndex(this.writes)
    this.#lookup = new Lookup(this.writes)
    const dropped: SessionStoreEvents['dropped'] = (clientId, message, reason) => this.#events.dropped(clientId, message, reason)
    this.#graves = new Graves(this.writes, this.bodies, this.#index, dropped)
    this.#appender = new Appender(this.writes, this.bodies, {
      dropped,
      lost: session => this.#events.lost(session),
      placed: (session, packetId, position) => this.#ownedBy(session)?.positions.set(packetId, position),
    })
    this.expiry = new Expiry(this.writes, this.#graves, clock, clientId => this.#known.delete(clientId))
    this.#loader = new Loader(this.writes, clock, node)
  }

  /** All stored sessions are known, so routing misses none. */
  get loaded(): boolean {
    return this.#loaded
  }

  trouble(): Error | null {
    return this.#lanes.link.up ? null : new StoreAwayError('Redis is away; the log says why')
  }

  open(events: SessionStoreEvents, limits: QueueLimits): void {
    this.#events = events
    this.#lanes.limits = limits
    this.#opened = true
  }

  async *sessions(): AsyncIterable<StoredSubscriber> {
    if (!this.#lanes.link.ready) return this.onUnloaded()
    this.#loading = true
    const told = new Set<string>()
    try {
      for await (const subscriber of this.#loader.sessions(!this.#loaded)) {
        this.#takeUp(subscriber)
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
    if (this.#loaded && this.#lanes.link.up) this.#loader.sign().catch(() => {})
  }

  /** Redis is there: what could not be read at start is read now. */
  async resume(): Promise<void> {
    if (!this.#opened || this.#loaded || this.#loading) return
    this.#loading = true
    try {
      for await (const subscriber of this.#loader.sessions()) {
        if (this.#known.has(subscriber.clientId)) continue
        this.#takeUp(subscriber)
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

  #takeUp({ clientId, node }: StoredSubscriber): void {
    this.#known.add(clientId)
    if (node != null && node !== this.#node) this.#elsewhere.set(clientId, node)
    else this.#elsewhere.delete(clientId)
  }

  /** What another node's writes, or this one's, have done to stored sessions; all nodes see it in the same order. */
  noted(from: string, said: string): void {
    for (const note of readNotes(said, this.#lanes.keys)) if (from !== this.#node) this.#noted(from, note)
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
      const clientId = this.#lanes.keys.clientIdOf(key)
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
    if (!this.#loaded || this.#lanes.of(this.#lanes.keys.session(clientId)).away) {
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
      this.#lanes.keys.session(clientId),
      Code.Claim,
      out => {
        out.session(clientId)
        out.byte(cleanStart ? 1 : 0)
        out.double(Number.isFinite(expiryMs) ? expiryMs : -1)
        out.shortText(String(node))
        out.double(will?.delayMs ?? 0)
        out.binary(willBytes)
      },
      rows => this.#take(request, claimedOf(rows)),
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
      subscriptions: this.#graves.subscriptionsOf(fields),
      receivedIds: names.flatMap(name => (name.startsWith('i') ? [Number(name.slice(1))] : [])),
      queued: { messages: numberOf(fields, 'c'), bytes: numberOf(fields, 'b') },
      ended: ended === null ? null : await this.#graves.empty(clientId, ended),
      orphanedWill: orphan.length === 0 ? null : decodeWill(orphan),
    }
  }

  // In the very call in which the answer is read: what stands behind the claim in the same batch is this owner's.
  #take({ clientId, expiryMs, will }: ClaimRequest, claimed: Claimed): Claimed {
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
    const { keys } = this.#lanes
    const names = [keys.session(clientId), keys.queue(clientId), keys.identifiers(clientId)]
    const found: QueueEntry[] = []
    for (;;) {
      const [reply] = await this.#lanes.of(names[0]!).read([['eval', pageScript, 3, ...names, epoch, after, limit - found.length]])
      if (reply === null) throw new SessionLostError(clientId)
      const [members, states] = reply as [Buffer[], Buffer[]]
      const entries = members.map(decodeEntry)
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
        const released = state.endsWith('r')
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
    return this.#atPosition(session, Code.Send, position, packetId)
  }

  ack(session: SessionKey, packetId: number): Promise<void> {
    const positions = this.#ownedBy(session)?.positions
    const position = positions?.get(packetId) ?? 0
    positions?.delete(packetId)
    return this.#atPosition(session, Code.Ack, position, packetId)
  }

  release(session: SessionKey, packetId: number): Promise<void> {
    return this.#atPosition(session, Code.Release, this.#ownedBy(session)?.positions.get(packetId) ?? 0, packetId)
  }

  remove(session: SessionKey, position: number): Promise<void> {
    return this.writes.owner(session, Code.Remove, out => out.double(position), this.#letGo, { queue: session.clientId })
  }

  #atPosition(session: SessionKey, code: Code, position: number, packetId: number): Promise<void> {
    const fields = (out: BatchWriter): void => {
      out.double(position)
      out.twoBytes(packetId)
    }
    return this.writes.owner(session, code, fields, this.#letGo, { queue: session.clientId })
  }

  // On Redis Cluster the script cannot reach the body of an entry that has gone.
  readonly #letGo = (rows: Rows): void => {
    if (rows === null) return
    for (const { kind, values } of rows) {
      if (kind === 'unrefer') this.bodies.unrefer({ id: String(values[0]), ordinal: values[1] as number }).catch(() => {})
    }
  }

  forget(key: SessionKey, packetId: number): Promise<void> {
    const { clientId, epoch } = key
    const session = { clientId, epoch }
    const write = (): Promise<void> => this.writes.owner(session, Code.Forget, out => out.twoBytes(packetId), nothing)
    const publishing = this.#appender.publishing({ session, packetId })
    if (publishing === undefined) return write()
    const done = publishing.then(write)
    this.#appender.follows({ session, packetId }, done)
    return done
  }

  subscribersOf(topic: string): Promise<StoredSubscriber[]> {
    return this.#lanes.link.up ? this.#lookup.subscribersOf(topic) : Promise.reject(this.trouble()!)
  }

  async subscribe(session: SessionKey, subscriptions: readonly Subscription[]): Promise<void> {
    const { clientId } = session
    const fields = (out: BatchWriter): void => {
      out.fourBytes(subscriptions.length)
      for (const subscription of subscriptions) {
        out.text(subscription.filter)
        out.shortText(encodeSubscription(subscription))
      }
    }
    const bytes = subscriptions.reduce((sum, { filter }) => sum + filter.length, smallBytes)
    await this.writes.owner(session, Code.Subscribe, fields, nothing, { refusable: true, bytes })
    await this.#index.add(clientId, subscriptions)
  }

  async unsubscribe(session: SessionKey, filters: readonly string[]): Promise<void> {
    const { clientId } = session
    const fields = (out: BatchWriter): void => {
      out.fourBytes(filters.length)
      for (const filter of filters) out.text(filter)
    }
    await this.writes.owner(session, Code.Unsubscribe, fields, nothing)
    await this.#index.remove(clientId, filters)
  }

  async close(session: SessionKey, expiryMs: number, keepWill: boolean): Promise<void> {
    const { clientId } = session
    const owned = this.#ownedBy(session)
    if (owned !== undefined) this.#owned.delete(clientId)
    const now = this.#clock.now()
    const fields = (out: BatchWriter): void => {
      out.double(Number.isFinite(expiryMs) ? expiryMs : -1)
      out.byte(keepWill ? 1 : 0)
      out.double(now)
    }
    const willAt = keepWill ? now + (owned?.willDelayMs ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY
    await Promise.all([
      this.writes.owner(session, Code.Close, fields, nothing, { queue: clientId }),
      this.expiry.remember(clientId, Math.min(now + expiryMs, willAt)),
    ])
  }

  end(session: SessionKey): EndedSession | null | Promise<EndedSession | null> {
    return this.#known.has(session.clientId) ? this.#end(session) : null
  }

  async #end(session: SessionKey): Promise<EndedSession | null> {
    const { clientId } = session
    const fields = await this.writes.owner(
      session,
      Code.End,
      () => {},
      rows => {
        const [row] = rows!
        if (row!.kind !== 'ended') return null
        this.#owned.delete(clientId)
        this.#known.delete(clientId)
        return row!.values[0] as EndedFields
      },
      { queue: clientId },
    )
    return fields === null ? null : await this.#graves.empty(clientId, fields)
  }

  expire(now: number, limit: number): Promise<readonly Due[]> | readonly Due[] {
    return this.sweeps && this.#loaded && this.#lanes.link.up ? this.expiry.expire(now, limit) : []
  }

  async flush(): Promise<void> {
    if (this.#lanes.link.up) await this.#lanes.whenIdle()
  }

  #ownedBy({ clientId, epoch }: SessionKey): Owned | undefined {
    const owned = this.#owned.get(clientId)
    return owned?.epoch === epoch ? owned : undefined
  }
}

function numberOf(fields: ReadonlyMap<string, Buffer>, name: string): number {
  return Number(fields.get(name)?.toString() ?? 0)
}

/** What the script says of a claim. */
interface Claimed {
  readonly epoch: number
  readonly present: boolean
  readonly ended: EndedFields | null
  readonly fields: ReadonlyMap<string, Buffer>
  readonly names: readonly string[]
  readonly orphan: Buffer
}

function claimedOf(rows: Rows): Claimed {
  const [epoch, present, ended, fields, names, orphan] = rows![0]!.values as [number, number, EndedFields | [], Buffer[], Buffer[], Buffer?]
  const pairs = new Map<string, Buffer>()
  for (let i = 0; i < fields.length; i += 2) pairs.set(fields[i]!.toString(), fields[i + 1]!)
  return {
    epoch,
    present: present === 1,
    ended: ended.length === 0 ? null : (ended as EndedFields),
    fields: pairs,
    names: names.map(String),
    orphan: orphan ?? noBytes,
  }
}
