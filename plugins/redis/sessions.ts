import type { Log } from '../../core/log.ts'
import type { Message } from '../../core/messages/message.ts'
import { encodeWill } from '../../core/messages/stored-message.ts'
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
import { Code, pageScript } from './batch-script.ts'
import { Bodies, lostMessage } from './bodies.ts'
import { decodeEntry } from './entry.ts'
import { Expiry } from './expiry.ts'
import { type EndedFields, Graves } from './graves.ts'
import type { Lanes } from './lanes.ts'
import { Loader } from './loader.ts'
import type { Row } from './operation.ts'
import { encodeSubscription, FilterIndex } from './subscriptions.ts'
import { Writes } from './writes.ts'

/** What this process knows of a session that it owns. */
interface Owned {
  readonly epoch: number
  /** Where in the queue each packet identifier is; 0: it is not there. */
  readonly positions: Map<number, number>
  /** Milliseconds from the end of the connection to the will; `Infinity` without one. */
  readonly willDelayMs: number
}

const nothingQueued = { messages: 0, bytes: 0 }
// So many clean sessions may begin while it is not known yet which are stored.
const cleanMeanwhileMax = 1_000_000

/** The `sessions` service on Redis. */
export class RedisSessions implements SessionStore {
  readonly writes: Writes
  readonly bodies: Bodies
  readonly expiry: Expiry
  readonly #lanes: Lanes
  readonly #clock: Clock
  readonly #log: Log
  readonly #index: FilterIndex
  readonly #graves: Graves
  readonly #appender: Appender
  readonly #loader: Loader
  readonly #owned = new Map<string, Owned>()
  // Which sessions are stored: a clean session whose client id is not among them needs nothing of Redis.
  readonly #known = new Set<string>()
  readonly #cleanMeanwhile = new Set<string>()
  #events: SessionStoreEvents = { dropped: () => {}, lost: () => {}, appended: () => {} }
  #opened = false
  #loading = false
  #loaded = false
  #localEpoch = 0
  /** Called when all stored sessions have been handed over after all. */
  onLoaded: () => void = () => {}
  /** Called when the stored sessions could not be handed over at start. */
  onUnloaded: () => void = () => {}

  constructor(lanes: Lanes, clock: Clock, log: Log, node: string | number) {
    this.#lanes = lanes
    this.#clock = clock
    this.#log = log
    this.writes = new Writes(lanes)
    this.bodies = new Bodies(this.writes, log)
    this.#index = new FilterIndex(this.writes)
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
      for await (const subscriber of this.#loader.sessions()) {
        this.#known.add(subscriber.clientId)
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
        this.#known.add(subscriber.clientId)
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
    const rows = await this.writes.write(
      this.#lanes.keys.session(clientId),
      Code.Claim,
      out => {
        out.session(clientId)
        out.byte(cleanStart ? 1 : 0)
        out.double(Number.isFinite(expiryMs) ? expiryMs : -1)
        out.shortText(String(node))
        out.double(will?.delayMs ?? 0)
        out.binary(will === null ? Buffer.alloc(0) : encodeWill(will))
      },
      { late: late => this.#claimedLate(request, late) },
    )
    const { epoch, present, ended, fields, names } = claimedOf(rows)
    const kept = present || expiryMs > 0
    if (kept) {
      this.#known.add(clientId)
      this.#owned.set(clientId, {
        epoch,
        positions: new Map(),
        willDelayMs: will?.delayMs ?? Number.POSITIVE_INFINITY,
      })
    } else {
      this.#known.delete(clientId)
    }
    return {
      epoch,
      present,
      subscriptions: this.#graves.subscriptionsOf(fields),
      receivedIds: names.flatMap(name => (name.startsWith('i') ? [Number(name.slice(1))] : [])),
      queued: { messages: numberOf(fields, 'c'), bytes: numberOf(fields, 'b') },
      ended: ended === null ? null : await this.#graves.empty(clientId, ended),
    }
  }

  // The client was told long ago that it cannot have its session; so nobody is there to close it.
  #claimedLate(request: ClaimRequest, rows: readonly Row[] | null): void {
    const { clientId, expiryMs } = request
    const { epoch, present, ended } = claimedOf(rows)
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

  async send(session: SessionKey, position: number, packetId: number): Promise<void> {
    this.#ownedBy(session)?.positions.set(packetId, position)
    await this.#atPosition(session, Code.Send, position, packetId)
  }

  async ack(session: SessionKey, packetId: number): Promise<void> {
    const positions = this.#ownedBy(session)?.positions
    const position = positions?.get(packetId)
    positions?.delete(packetId)
    if (position !== 0) await this.#atPosition(session, Code.Ack, position ?? 0, packetId)
  }

  async release(session: SessionKey, packetId: number): Promise<void> {
    const position = this.#ownedBy(session)?.positions.get(packetId)
    if (position !== 0) await this.#atPosition(session, Code.Release, position ?? 0, packetId)
  }

  async remove(session: SessionKey, position: number): Promise<void> {
    this.#letGo(await this.writes.owner(session, Code.Remove, out => out.double(position)))
  }

  async #atPosition(session: SessionKey, code: Code, position: number, packetId: number): Promise<void> {
    const rows = await this.writes.owner(session, code, out => {
      out.double(position)
      out.twoBytes(packetId)
    })
    this.#letGo(rows)
  }

  // On Redis Cluster the script cannot reach the body of an entry that has gone.
  #letGo(rows: readonly Row[] | null): void {
    for (const { kind, values } of rows ?? []) {
      if (kind === 'unrefer') void this.bodies.unrefer({ id: String(values[0]), ordinal: values[1] as number }).catch(() => {})
    }
  }

  async forget(session: SessionKey, packetId: number): Promise<void> {
    await this.writes.owner(session, Code.Forget, out => out.twoBytes(packetId))
  }

  async subscribe(session: SessionKey, subscriptions: readonly Subscription[]): Promise<void> {
    const kept = this.writes.owner(
      session,
      Code.Subscribe,
      out => {
        out.fourBytes(subscriptions.length)
        for (const subscription of subscriptions) {
          out.text(subscription.filter)
          out.shortText(encodeSubscription(subscription))
        }
      },
      { refusable: true, bytes: 200 + subscriptions.reduce((sum, { filter }) => sum + filter.length, 0) },
    )
    await Promise.all([kept, this.#index.add(session.clientId, subscriptions)])
  }

  async unsubscribe(session: SessionKey, filters: readonly string[]): Promise<void> {
    await this.writes.owner(session, Code.Unsubscribe, out => {
      out.fourBytes(filters.length)
      for (const filter of filters) out.text(filter)
    })
    await this.#index.remove(session.clientId, filters)
  }

  async close(session: SessionKey, expiryMs: number, keepWill: boolean): Promise<void> {
    const { clientId } = session
    const owned = this.#ownedBy(session)
    if (owned !== undefined) this.#owned.delete(clientId)
    const now = this.#clock.now()
    const closed = this.writes.owner(session, Code.Close, out => {
      out.double(Number.isFinite(expiryMs) ? expiryMs : -1)
      out.byte(keepWill ? 1 : 0)
      out.double(now)
    })
    const willAt = keepWill ? now + (owned?.willDelayMs ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY
    await Promise.all([closed, this.expiry.remember(clientId, Math.min(now + expiryMs, willAt))])
  }

  end(session: SessionKey): EndedSession | null | Promise<EndedSession | null> {
    return this.#known.has(session.clientId) ? this.#end(session) : null
  }

  async #end(session: SessionKey): Promise<EndedSession | null> {
    const { clientId } = session
    const [row] = (await this.writes.owner(session, Code.End, () => {})) ?? []
    if (row === undefined || row.kind !== 'ended') return null
    this.#owned.delete(clientId)
    this.#known.delete(clientId)
    return this.#graves.empty(clientId, row.values[0] as EndedFields)
  }

  expire(now: number, limit: number): Promise<readonly Due[]> | readonly Due[] {
    return this.#loaded && this.#lanes.link.up ? this.expiry.expire(now, limit) : []
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

function claimedOf(rows: readonly Row[] | null) {
  const [epoch, present, ended, fields, names] = rows![0]!.values as [number, number, EndedFields | [], Buffer[], Buffer[]]
  const pairs = new Map<string, Buffer>()
  for (let i = 0; i < fields.length; i += 2) pairs.set(fields[i]!.toString(), fields[i + 1]!)
  return {
    epoch,
    present: present === 1,
    ended: ended.length === 0 ? null : (ended as EndedFields),
    fields: pairs as ReadonlyMap<string, Buffer>,
    names: names.map(String),
  }
}
