// Why it is long: it makes all parts and carries the whole surface that plugins and parts see; each method is a line or two.

import type { Broker } from './broker.ts'
import type { Acknowledger } from './connection/acknowledger.ts'
import type { Client, Session } from './connection/client.ts'
import type { Connection } from './connection/connection.ts'
import { Connections, type ConnectionsHost } from './connection/connections.ts'
import type { DisconnectReason } from './connection/disconnect-reason.ts'
import { Flusher } from './connection/flusher.ts'
import type { Transport, TransportEvents } from './connection/transport.ts'
import { Gate, Turns } from './connection/turns.ts'
import type { DropReason } from './counter-names.ts'
import { Counters } from './counters.ts'
import { ErrorReports } from './error-reports.ts'
import { EntryCheck } from './handlers/entry-check.ts'
import type { HandlerHost } from './handlers/host.ts'
import { Handlers } from './handlers/index.ts'
import { createHooks, type Hooks } from './hooks.ts'
import { LineThrottle } from './line-throttle.ts'
import { type Log, lateLog } from './log.ts'
import { publishFor } from './messages/late-publish.ts'
import type { Message } from './messages/message.ts'
import { publishOwn, type ServerMessage } from './messages/own-publish.ts'
import { publishFault } from './messages/publish-fault.ts'
import type { Settings } from './options/settings.ts'
import type { QoS } from './protocol/constants.ts'
import { TopicCache } from './protocol/topic-cache.ts'
import type { Publisher, Rights, Whom } from './publisher.ts'
import { ReasonCode } from './reason.ts'
import type { Refusal } from './refusals.ts'
import { DeliveryTerms } from './routing/delivery-terms.ts'
import { Dispatcher } from './routing/dispatcher.ts'
import { Router } from './routing/router.ts'
import type { Route } from './routing/target.ts'
import { Services } from './services.ts'
import { Authority } from './sessions/authority.ts'
import type { KnownSession } from './sessions/known-session.ts'
import type { QueuedDelivery } from './sessions/message-queue.ts'
import { queueLimitsOf } from './sessions/queue-limits.ts'
import { type RosterHost, SessionRoster } from './sessions/session-roster.ts'
import {
  type Due,
  type QueueLimits,
  SessionLostError,
  type SessionStore,
  type SessionStoreEvents,
  type StoredSubscriber,
  type StoredWill,
  unkeptReason,
} from './sessions/session-store.ts'
import { StoredSessions } from './sessions/stored-sessions.ts'
import { survivors } from './sessions/survivors.ts'
import { Wills } from './sessions/wills.ts'
import type { TapGuardOptions } from './taps.ts'
import type { Clock, Timer } from './time/clock.ts'
import { TimerWheel } from './time/timer-wheel.ts'
import type { Timings } from './timings.ts'

// The broker's coarse clock: keep-alive is watched to this, and expiries are looked for once a second.
const tickMs = 250
const sweepMs = 1000
const sweepLimit = 1000
// Some 3 ms of work: thousands that connect at once keep those who are there already waiting no longer than that.
const connectsPerTurn = 64

/** Connects everything: who is connected, who has subscribed to what, and the hooks that say what happens. Its parts are each handed what they use. */
export class BrokerCore implements ConnectionsHost, HandlerHost, RosterHost {
  settings: Settings
  readonly clock: Clock
  /** How taps are made safe. */
  readonly tapGuard: TapGuardOptions
  readonly hooks: Hooks
  readonly services = new Services()
  readonly log: Log
  readonly counters = new Counters()
  readonly capabilities = { retain: false, sharedSubscriptions: false }
  readonly queueLimits: QueueLimits
  readonly router: Router<KnownSession>
  readonly topics = new TopicCache()
  readonly caches: Broker['caches']
  readonly secretUsernames: Broker['secretUsernames'] = new Set()
  readonly flusher: Flusher
  readonly wheel: TimerWheel
  readonly turns: Turns
  readonly connectGate: Gate
  readonly dispatcher = new Dispatcher(this)
  readonly roster = new SessionRoster(this)
  readonly authority = new Authority(this)
  readonly entry: EntryCheck
  readonly slowedSessions = new Set<KnownSession>()
  readonly withholding = new Set<Acknowledger>()
  readonly unkeptLines: LineThrottle
  readonly timings: Timings
  now: number
  heldUp = false
  stopping = false
  deliverUsed = false
  deliveredUsed = false
  routeUsed = false
  matchUsed = false
  readonly #storedSessions = new StoredSessions(this)
  readonly #wills = new Wills(this)
  readonly #reports: ErrorReports
  readonly #connections: Connections
  readonly tracedIds = new Set<string>()
  tracesAll = false
  #store: SessionStore | null = null
  #timers: Timer[] = []
  #sweptAt: number
  #sweeping = false

  constructor(settings: Settings, clock: Clock, timings: Timings) {
    this.settings = settings
    this.clock = clock
    this.timings = timings
    this.now = clock.now()
    this.log = lateLog(() => this.services.find('log'))
    this.tapGuard = {
      clock,
      verdictTimeoutMs: settings.mqtt.verdictTimeout,
      report: error => this.report(error),
      tapped: hook => this.#tapped(hook),
    }
    this.hooks = createHooks(this.tapGuard)
    this.queueLimits = queueLimitsOf(settings)
    this.router = new Router(clock)
    this.caches = [this.router, this.topics]
    this.flusher = new Flusher(clock)
    this.wheel = new TimerWheel(this.now, tickMs)
    this.turns = new Turns(clock)
    this.connectGate = new Gate(clock, connectsPerTurn)
    this.entry = new EntryCheck(this)
    this.unkeptLines = new LineThrottle(clock, { everyMs: 10_000, linesMax: 20 })
    this.#connections = new Connections(this, new Handlers(this))
    this.#reports = new ErrorReports(this)
    this.#sweptAt = this.now
  }

  /** Other options, of those that can change while running. */
  changeSettings(settings: Settings): void {
    this.settings = settings
    Object.assign(this.queueLimits, queueLimitsOf(settings))
  }

  /** The owner of the `sessions` service. */
  get sessions(): SessionStore {
    this.#store ??= this.services.get('sessions')
    return this.#store
  }

  get clients(): ReadonlySet<Connection> {
    return this.#connections.all
  }

  clientOf(clientId: string): Connection | undefined {
    return this.roster.get(clientId)?.client ?? undefined
  }

  sessionOf(clientId: string): KnownSession | undefined {
    return this.roster.get(clientId)
  }

  get knownSessions(): Iterable<KnownSession> {
    return this.roster.all()
  }

  // Life

  /** Takes up the stored sessions and sets the clock going. Called when all plugins have started, before listeners open. */
  async load(): Promise<void> {
    await this.sessions.open(this.storeEvents(), this.queueLimits)
    await this.#storedSessions.load()
    this.#timers.push(this.clock.every(tickMs, () => this.tick()))
  }

  /** What the store is to tell. */
  protected storeEvents(): SessionStoreEvents {
    const stored = this.#storedSessions
    return {
      dropped: (clientId, message, reason) => {
        this.drop(clientId, message, reason)
        if (reason !== 'sessionEnded') this.roster.get(clientId)?.dropped(message, reason)
      },
      lost: ({ clientId, epoch }, error = new SessionLostError(clientId)) => {
        const session = this.roster.get(clientId)
        if (session?.epoch === epoch) this.storeFailed(session, error, session.client)
      },
      appended: clientId => {
        const session = this.roster.get(clientId)
        session?.backlog?.appendedElsewhere()
        session?.backlog?.pump()
      },
      found: subscriber => stored.found(subscriber),
      changed: change => stored.changed(change),
      gone: session => stored.gone(session),
      emptied: () => survivors(this.roster.all()),
    }
  }

  /** Says good-bye to every client, waits for what onDisconnect taps still do, and for the store. */
  async stop(): Promise<void> {
    this.stopping = true
    this.#connections.closeAll()
    this.flusher.flush()
    await this.#connections.told()
    for (const timer of this.#timers) timer.cancel()
    this.#timers = []
    try {
      await this.#store?.flush()
    } catch (error) {
      this.report(error)
    }
    this.#reports.flush()
  }

  #tapped(hook: string): void {
    if (hook === 'onDeliver') this.deliverUsed = true
    else if (hook === 'onDelivered') this.deliveredUsed = true
    else if (hook === 'onRoute') this.routeUsed = true
    else if (hook === 'onMatch') this.matchUsed = true
  }

  /** Called every 250 ms. */
  protected tick(): void {
    const now = this.clock.now()
    this.heldUp = now - this.now > 4 * tickMs
    this.now = now
    this.timings.due = true
    this.wheel.advance(this.now)
    for (const session of this.slowedSessions) session.stalled(this.now)
    for (const acknowledger of this.withholding) acknowledger.watch(this.now)
    if (this.now - this.#sweptAt >= sweepMs) {
      this.#sweptAt = this.now
      this.sweep()
    }
  }

  /** Ends what has expired and sends the wills that are due: once a second. */
  protected sweep(): void {
    this.roster.retryEndings()
    if (this.#sweeping) return
    const due = this.sessions.expire(this.clock.now(), sweepLimit)
    if (!(due instanceof Promise)) return this.#carryOut(due)
    this.#sweeping = true
    due
      .then(
        found => this.#carryOut(found),
        error => this.report(error),
      )
      .finally(() => {
        this.#sweeping = false
      })
  }

  #carryOut(found: readonly Due[]): void {
    for (const due of found) {
      if (due.kind === 'will') this.publishWill(due.clientId, due.will)
      else this.roster.ended(due.session, null)
    }
  }

  // Connections

  accept(transport: Transport): TransportEvents | null {
    return this.#connections.accept(transport)
  }

  connected(_connection: Connection, _sessionPresent: boolean): void {
    this.#connections.connected()
  }

  ended(connection: Connection, reason: DisconnectReason, wasConnected: boolean, publishWill: boolean): void {
    this.#connections.ended(connection, reason, wasConnected, publishWill)
  }

  leave(session: KnownSession, connection: Connection, publishWill: boolean): void {
    this.roster.leave(session, connection, publishWill)
  }

  transportClosed(connection: Connection): void {
    this.#connections.closed(connection)
  }

  // Rights

  applyRights(whom: Whom, rights: Rights | null): number {
    return this.authority.setRights(whom, rights)
  }

  recheckRights(): Promise<void> {
    return this.authority.recheckAll()
  }

  mayReceive(session: KnownSession, message: Message, group: string | null): boolean {
    return this.authority.mayReceive(session, message, group)
  }

  takeAway(session: KnownSession, filters: readonly string[]): void {
    this.roster.revoke(session, filters)
  }

  // Messages

  deliver(client: Client, message: Message, qos: QoS, retain: boolean, identifiers: readonly number[] | null): void {
    const { session } = client as Connection
    if (session !== null && client.state === 'connected')
      this.dispatcher.deliverTo(session, message, new DeliveryTerms(qos, retain, identifiers, null))
  }

  publish(message: ServerMessage): Promise<void> {
    return publishOwn(this, message)
  }

  publishFor(publisher: Publisher, message: Message): Promise<'published' | 'refused'> {
    return publishFor(this, publisher, message)
  }

  publishFault(publisher: Publisher, message: Message): Refusal | undefined {
    return publishFault(this, publisher, message)
  }

  routeOf(topic: string): Route<Session> {
    return this.router.route(topic)
  }

  publishWill(clientId: string, will: StoredWill): void {
    this.#wills.publish(clientId, will)
  }

  willKept(clientId: string): Promise<void> | undefined {
    return this.#wills.kept(clientId)
  }

  redistribute(from: string, left: Iterable<QueuedDelivery>): void {
    this.dispatcher.redistribute(from, left)
  }

  drop(clientId: string, message: Message, reason: DropReason, reasonCode?: number): void {
    this.counters.dropped[reason] += 1
    const { onDrop } = this.hooks
    if (onDrop.isUsed()) onDrop.call(clientId, message, reason, reasonCode)
  }

  // What other nodes do

  reloadSessions(): Promise<void> {
    return this.#storedSessions.reload()
  }

  refreshSessions(topic: string, found: readonly StoredSubscriber[]): KnownSession[] {
    return this.#storedSessions.refresh(topic, found)
  }

  forgetSession(session: Session): void {
    this.#storedSessions.pass(session as KnownSession)
  }

  // Trouble

  report(error: unknown): void {
    this.#reports.report(error)
  }

  /** A write to the store failed: `client`, on whose behalf it was, comes again and finds its session as it was before. */
  storeFailed(session: KnownSession, error: unknown, client: Connection | null): void {
    if (error instanceof SessionLostError) {
      if (session.client !== client || client === null) return
      // The new owner has taken the will with the session.
      client.will = null
      client.close(ReasonCode.SessionTakenOver, 'another broker has this session now')
      return
    }
    this.report(error)
    client?.close(unkeptReason(error), 'the session store did not take a write')
  }

  traces(clientId: string): boolean {
    return this.tracesAll || this.tracedIds.has(clientId)
  }
}
