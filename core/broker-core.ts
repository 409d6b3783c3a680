// Why it is long: it makes all parts and carries the whole surface that plugins and parts see; each method is a line or two.

import type { Actor } from './actor.ts'
import type { Broker, BrokerTotals, ListenerAddress } from './broker.ts'
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
import { throttledErrors } from './error-lines.ts'
import { Figures } from './figures.ts'
import { EntryCheck } from './handlers/entry-check.ts'
import type { HandlerHost } from './handlers/host.ts'
import { Handlers } from './handlers/index.ts'
import { subscribeFor, unsubscribeFor } from './handlers/on-behalf.ts'
import { createHooks, type Hooks } from './hooks.ts'
import { LineThrottle } from './line-throttle.ts'
import { LateLog, type Log, silentLog } from './log.ts'
import { publishFor } from './messages/late-publish.ts'
import type { Message } from './messages/message.ts'
import { publishOwn, type ServerMessage } from './messages/own-publish.ts'
import { type MessageHandler, type OwnSubscription, OwnSubscriptions } from './messages/own-subscriptions.ts'
import { publishFault } from './messages/publish-fault.ts'
import { WireReader, type WireSource } from './messages/wire-message.ts'
import type { Settings } from './options/settings.ts'
import type { ProtocolVersion, QoS } from './protocol/constants.ts'
import { TopicCache } from './protocol/topic-cache.ts'
import type { Publisher, Revoked, Rights, Whom } from './publisher.ts'
import { ReasonCode } from './reason.ts'
import type { Refusal } from './refusals.ts'
import { DeliveryTerms } from './routing/delivery-terms.ts'
import { Dispatcher, type PickedMember } from './routing/dispatcher.ts'
import { Router } from './routing/router.ts'
import type { Subscription } from './routing/subscription.ts'
import type { Route } from './routing/target.ts'
import { Services } from './services.ts'
import { Authority } from './sessions/authority.ts'
import { clearQueue } from './sessions/clear-queue.ts'
import { KeptWills } from './sessions/kept-wills.ts'
import type { KnownSession } from './sessions/known-session.ts'
import type { QueuedDelivery } from './sessions/message-queue.ts'
import { queueLimitsOf } from './sessions/queue-limits.ts'
import { RemoteMembers } from './sessions/remote-members.ts'
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
import { StoreTroubles } from './sessions/store-troubles.ts'
import { StoredSessions } from './sessions/stored-sessions.ts'
import { survivors } from './sessions/survivors.ts'
import { Wills } from './sessions/wills.ts'
import { TapError, type TapGuardOptions } from './taps.ts'
import type { Clock, Timer } from './time/clock.ts'
import { TimerWheel } from './time/timer-wheel.ts'
import { WallWatch } from './time/wall-watch.ts'
import { Timings } from './timings.ts'
import { type Answered, type Given, type VerbName, Verbs } from './verbs.ts'
import type { WorkerPlace } from './worker-place.ts'

// The broker's coarse clock: keep-alive is watched to this, and expiries are looked for once a second.
const tickMs = 250
const sweepMs = 1000
const sweepLimit = 1000
// Some 3 ms of work: thousands that connect at once keep those who are there already waiting no longer than that.
const connectsPerTurn = 64

// Who asks where nobody says who it is.
const program: Actor = { name: 'program', via: 'program' }

/** Connects everything: who is connected, who has subscribed to what, and the hooks that say what happens. Its parts are each handed what they use. */
export class BrokerCore implements Broker, ConnectionsHost, HandlerHost, RosterHost {
  #settings: Settings
  readonly clock: Clock
  /** How taps are made safe. */
  readonly tapGuard: TapGuardOptions
  readonly hooks: Hooks
  readonly services: Services
  readonly version: string
  readonly folder: string
  readonly worker: WorkerPlace | null
  readonly listeners: ListenerAddress[]
  readonly log: Log
  readonly counters: Counters
  readonly figures: Figures
  readonly timings: Timings
  readonly verbs: Verbs
  readonly capabilities: { retain: boolean; sharedSubscriptions: boolean }
  readonly queueLimits: QueueLimits
  readonly router: Router<KnownSession>
  readonly topics: TopicCache
  readonly caches: Broker['caches']
  readonly secretUsernames: Broker['secretUsernames']
  readonly flusher: Flusher
  readonly wheel: TimerWheel
  readonly turns: Turns
  readonly connectGate: Gate
  readonly dispatcher: Dispatcher
  readonly roster: SessionRoster
  readonly keptWills: KeptWills
  readonly authority: Authority
  readonly entry: EntryCheck
  readonly slowedSessions: Set<KnownSession>
  readonly withholding: Set<Acknowledger>
  readonly unkeptLines: LineThrottle
  now: number
  heldUp: boolean
  deliverUsed: boolean
  deliveredUsed: boolean
  routeUsed: boolean
  matchUsed: boolean
  readonly #storedSessions: StoredSessions
  readonly #members: RemoteMembers
  readonly #wills: Wills
  readonly #own: OwnSubscriptions
  readonly #troubles: StoreTroubles
  readonly #wallWatch: WallWatch
  readonly #errorLines: LineThrottle
  readonly #connections: Connections
  readonly #tracedIds: Set<string>
  #tracesAll: boolean
  #store: SessionStore | null
  #wire: WireReader | null
  #timers: Timer[]
  #sweptAt: number
  #sweeping: boolean
  #stopping: boolean

  constructor(settings: Settings, clock: Clock, version: string, folder = process.cwd(), worker: WorkerPlace | null = null) {
    this.#settings = settings
    this.clock = clock
    this.version = version
    this.folder = folder
    this.worker = worker
    this.listeners = []
    this.now = clock.now()
    this.heldUp = false
    this.deliverUsed = false
    this.deliveredUsed = false
    this.routeUsed = false
    this.matchUsed = false
    this.services = new Services()
    this.log = new LateLog(() => this.services.find('log') ?? silentLog)
    this.tapGuard = {
      clock,
      verdictTimeoutMs: settings.mqtt.verdictTimeout,
      report: error => this.report(error),
      tapped: hook => this.#tapped(hook),
    }
    this.hooks = createHooks(this.tapGuard)
    this.counters = new Counters()
    this.figures = new Figures()
    this.timings = new Timings(clock, this.figures)
    this.verbs = new Verbs(this.hooks, String(settings.brokerId), worker !== null)
    this.capabilities = { retain: false, sharedSubscriptions: false }
    this.queueLimits = queueLimitsOf(settings)
    this.router = new Router(clock)
    this.topics = new TopicCache()
    this.caches = [this.router, this.topics]
    this.secretUsernames = new Set()
    this.flusher = new Flusher(clock)
    this.wheel = new TimerWheel(this.now, tickMs)
    this.turns = new Turns(clock)
    this.connectGate = new Gate(clock, connectsPerTurn)
    this.dispatcher = new Dispatcher(this)
    this.roster = new SessionRoster(this)
    this.keptWills = new KeptWills(this)
    this.authority = new Authority(this)
    this.entry = new EntryCheck(this)
    this.slowedSessions = new Set()
    this.withholding = new Set()
    this.unkeptLines = new LineThrottle(clock, { everyMs: 10_000, linesMax: 20 })
    this.#connections = new Connections(this, new Handlers(this))
    this.#storedSessions = new StoredSessions(this)
    this.#members = new RemoteMembers(this)
    this.#wills = new Wills(this)
    this.#own = new OwnSubscriptions(this)
    this.#troubles = new StoreTroubles(this)
    this.#wallWatch = new WallWatch(this)
    this.#errorLines = throttledErrors(clock, this.log)
    this.#tracedIds = new Set()
    this.#tracesAll = false
    this.#store = null
    this.#wire = null
    this.#timers = []
    this.#sweptAt = this.now
    this.#sweeping = false
    this.#stopping = false
    const { storeTiming } = this.dispatcher
    const help = 'From handing a message to the store until it is kept, where that is not at once; one of 16 is timed.'
    this.figures.add(storeTiming.figure('store_seconds', help))
    const steps = () => [{ value: this.#wallWatch.steps }]
    this.figures.add({ name: 'clock_steps_total', type: 'counter', help: "How often the machine's clock was set.", read: steps })
  }

  get settings(): Settings {
    return this.#settings
  }

  /** Other options, of those that can change while running. */
  changeSettings(settings: Settings): void {
    this.#settings = settings
    Object.assign(this.queueLimits, queueLimitsOf(settings))
  }

  /** The owner of the `sessions` service. */
  get sessions(): SessionStore {
    this.#store ??= this.services.get('sessions')
    return this.#store
  }

  get stopping(): boolean {
    return this.#stopping
  }

  get clients(): ReadonlySet<Client> {
    return this.#connections.all
  }

  get connections(): Iterable<Connection> {
    return this.#connections.all
  }

  get totals(): BrokerTotals {
    return {
      sessions: this.roster.size,
      subscriptions: this.router.size,
      slowedSessions: this.slowedSessions.size,
      withholdingClients: this.withholding.size,
    }
  }

  clientOf(clientId: string): Client | undefined {
    return this.connectionOf(clientId)
  }

  connectionOf(clientId: string): Connection | undefined {
    return this.roster.get(clientId)?.client ?? undefined
  }

  sessionOf(clientId: string): KnownSession | undefined {
    return this.roster.get(clientId)
  }

  allSessions(): Iterable<KnownSession> {
    return this.roster.all()
  }

  get knownSessions(): Iterable<Session> {
    return this.roster.all()
  }

  inspect<V extends VerbName>(verb: V, given: Given<V> = {} as Given<V>): Promise<Answered<V>> {
    return this.verbs.inspect(verb, given as object, program) as Promise<Answered<V>>
  }

  operate<V extends VerbName>(actor: Actor, verb: V, given: Given<V> = {} as Given<V>): Promise<Answered<V>> {
    return this.verbs.operate(actor, verb, given as object) as Promise<Answered<V>>
  }

  // Life

  /** Takes up the stored sessions and sets the clock going. Called when all plugins have started, before listeners open. */
  async load(): Promise<void> {
    await this.sessions.open(this.#storeEvents(), this.queueLimits)
    await this.#storedSessions.load()
    this.#own.load()
    this.#timers.push(this.clock.every(tickMs, () => this.#tick()))
  }

  #storeEvents(): SessionStoreEvents {
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
      emptied: () => {
        this.keptWills.again()
        return survivors(this.roster.all())
      },
    }
  }

  /** Says good-bye to every client, waits for what onDisconnect taps still do, and for the store. */
  async stop(): Promise<void> {
    this.#stopping = true
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
    this.#errorLines.flush()
  }

  #tapped(hook: string): void {
    if (hook === 'onDeliver') this.deliverUsed = true
    else if (hook === 'onDelivered') this.deliveredUsed = true
    else if (hook === 'onRoute') this.routeUsed = true
    else if (hook === 'onMatch') this.matchUsed = true
  }

  #tick(): void {
    const now = this.clock.now()
    this.heldUp = now - this.now > 4 * tickMs
    this.now = now
    this.timings.due = true
    if (this.#wallWatch.look()) for (const connection of this.#connections.all) connection.wallSet()
    this.wheel.advance(this.now)
    for (const session of this.slowedSessions) session.stalled(this.now)
    for (const acknowledger of this.withholding) acknowledger.watch(this.now)
    if (this.now - this.#sweptAt >= sweepMs) {
      this.#sweptAt = this.now
      this.#sweep()
    }
  }

  /** Ends what has expired and sends the wills that are due. */
  #sweep(): void {
    this.roster.retryEndings()
    this.keptWills.retry()
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

  unguarded(allowAnonymous = this.settings.allowAnonymous): boolean {
    return allowAnonymous === undefined && !this.hooks.onAuthenticate.isUsed()
  }

  addressesFor(host: string, allowAnonymous?: boolean): string[] {
    return this.unguarded(allowAnonymous) ? ['127.0.0.1', '::1'] : [host]
  }

  listening(address: ListenerAddress): void {
    const isSame = ({ name, host, port }: ListenerAddress): boolean =>
      name === address.name && host === address.host && port === address.port
    if (!this.listeners.some(isSame)) this.listeners.push(address)
  }

  accept(transport: Transport): TransportEvents | null {
    return this.#connections.accept(transport)
  }

  connected(connection: Connection, sessionPresent: boolean): void {
    this.#connections.connected(connection, sessionPresent)
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

  // What operators do, and rights

  setRights(whom: Whom, rights: Rights | null): number {
    const count = this.applyRights(whom, rights)
    this.hooks.onOperated.call({ verb: 'setRights', whom, rights })
    return count
  }

  applyRights(whom: Whom, rights: Rights | null): number {
    return this.authority.setRights(whom, rights)
  }

  applyRevoke(whom: Revoked, keepSession: boolean): number {
    const found = [...this.connections].filter(
      ({ state, username, clientId }) =>
        state !== 'new' && state !== 'closed' && ('username' in whom ? username === whom.username : clientId === whom.clientId),
    )
    for (const client of found) {
      if (!keepSession) client.leaveNothing()
      client.close(ReasonCode.NotAuthorized, 'may no longer be connected')
    }
    return found.length
  }

  recheckRights(): Promise<void> {
    return this.authority.recheckAll()
  }

  mayReceive(session: KnownSession, message: Message, group: string | null): boolean {
    return this.authority.mayReceive(session, message, group)
  }

  mayStillPublish(message: Message): boolean {
    return this.authority.mayStillPublish(message)
  }

  takeAway(session: KnownSession, filters: readonly string[]): void {
    this.roster.revoke(session, filters)
  }

  kick(clientId: string): boolean {
    const client = this.connectionOf(clientId)
    client?.close(ReasonCode.AdministrativeAction, 'disconnected by an operator')
    if (client === undefined) this.hooks.onOperated.call({ verb: 'kick', clientId })
    return client !== undefined
  }

  // Messages

  deliver(client: Client, message: Message, qos: QoS, retain: boolean, identifiers: readonly number[] | null): void {
    const { session } = client as Connection
    if (session !== null && client.state === 'connected')
      this.dispatcher.deliverTo(session, message, new DeliveryTerms(qos, retain, identifiers, null))
  }

  subscribe(filter: string, handler: MessageHandler): OwnSubscription {
    return this.#own.add(filter, handler)
  }

  subscribeClient(client: Client, filter: string, qos: QoS): Promise<number> {
    return subscribeFor(this, client as Connection, filter, qos)
  }

  unsubscribeClient(client: Client, filter: string): Promise<number> {
    return unsubscribeFor(this, client as Connection, filter)
  }

  async clearQueue(clientId: string): Promise<number | null> {
    const session = this.roster.get(clientId)
    return session === undefined ? null : await clearQueue(this, session)
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

  receive(message: Message, plain: boolean, picked: readonly PickedMember[]): Promise<void> | undefined {
    this.dispatcher.receive(message, plain, picked)
    return this.router.spent ? this.turns.next() : undefined
  }

  readWire(bytes: Buffer, start: number, end: number, version: ProtocolVersion, from: WireSource): Message {
    this.#wire ??= new WireReader(this.topics)
    return this.#wire.read(bytes, start, end, version, from)
  }

  memberJoined(node: string, clientId: string, subscription: Subscription): void {
    this.#members.joined(node, clientId, subscription)
  }

  memberLeft(node: string, clientId: string, filter: string): void {
    this.#members.left(node, clientId, filter)
  }

  nodeLeft(node: string): void {
    this.#members.nodeLeft(node)
    for (const session of this.roster.all()) if (session.node === node) session.node = null
  }

  connectionKnown(client: Client): void {
    const { session } = client as Connection
    if (session?.client === client) session.announced = true
  }

  belongsToAnother(clientId: string, user: string | null): boolean {
    const session = this.roster.get(clientId)
    return session?.client != null && session.announced && session.owner !== user && this.entry.isByUser(session.client)
  }

  refuseOwned(client: Client): void {
    const connection = client as Connection
    const refusal = this.entry.owned(connection)
    connection.leaveNothing()
    if (connection.state === 'connected') connection.close(ReasonCode.NotAuthorized, refusal.reasonString!)
    else connection.refuse(refusal)
  }

  connectedElsewhere(clientId: string, withoutWill?: boolean): void {
    const session = this.roster.get(clientId)
    if (session?.client != null && session.announced) this.roster.lose(session, withoutWill)
  }

  reloadSessions(): Promise<void> {
    this.keptWills.again()
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
    if (this.#troubles.say(error)) return
    const failure = error instanceof Error ? error : new Error(String(error))
    if (failure instanceof TapError) {
      this.counters.tapErrors += 1
      if (this.#errorLines.pass(`${failure.plugin} at ${failure.hook}`) > 0)
        this.log.error({ plugin: failure.plugin, hook: failure.hook, err: failure.cause ?? failure }, failure.message)
    } else if (this.#errorLines.pass((failure as NodeJS.ErrnoException).code ?? failure.name) > 0) {
      this.log.error({ err: failure }, failure.message)
    }
    // A tap on onError that fails is logged only: told of its own failure, it would fail again, and so on.
    if (!(failure instanceof TapError && failure.hook === 'onError')) this.hooks.onError.call(failure)
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

  trace(clientId: string | true, on = true): void {
    if (clientId === true) {
      this.#tracesAll = on
      return
    }
    if (on) this.#tracedIds.add(clientId)
    else this.#tracedIds.delete(clientId)
    const client = this.connectionOf(clientId)
    if (client !== undefined) client.traced = on
  }

  traces(clientId: string): boolean {
    return this.#tracesAll || this.#tracedIds.has(clientId)
  }
}
