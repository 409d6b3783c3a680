import type { Forwarder } from './cluster/forwarder.ts'
import type { Acknowledger } from './connection/acknowledger.ts'
import { AttemptGate } from './connection/attempt-gate.ts'
import { Client } from './connection/client.ts'
import { Flusher } from './connection/flusher.ts'
import type { Transport, TransportEvents } from './connection/transport.ts'
import { Gate, Turns } from './connection/turns.ts'
import type { DropReason } from './counter-names.ts'
import { Counters } from './counters.ts'
import { throttledErrors } from './error-lines.ts'
import { Figures } from './figures.ts'
import { toRefusal } from './handlers/refusal.ts'
import { HookTimes } from './hook-times.ts'
import type { ConnectRefusal, DisconnectReason, Hooks, Rights } from './hooks.ts'
import { createHooks } from './hooks.ts'
import type { LineThrottle } from './line-throttle.ts'
import { LateLog, type Log, silentLog } from './log.ts'
import type { Message } from './messages/message.ts'
import { publishOwn } from './messages/own-publish.ts'
import type { Settings } from './options/settings.ts'
import type { QoS } from './protocol/constants.ts'
import type { Properties } from './protocol/packets.ts'
import { TopicCache } from './protocol/topic-cache.ts'
import { ReasonCode } from './reason.ts'
import { Dispatcher, type Outcome } from './routing/dispatcher.ts'
import { Router } from './routing/router.ts'
import { Services } from './services.ts'
import { Authority, type Whom } from './sessions/authority.ts'
import { queueLimitsOf } from './sessions/queue-limits.ts'
import type { Session } from './sessions/session.ts'
import { SessionRoster } from './sessions/session-roster.ts'
import { type QueueLimits, type ReceivedId, SessionLostError, type SessionStore, StoreFullError } from './sessions/session-store.ts'
import { StoreTroubles } from './sessions/store-troubles.ts'
import { SubscriberLookup } from './sessions/subscriber-lookup.ts'
import { Wills } from './sessions/wills.ts'
import { TapError, type TapGuardOptions } from './taps.ts'
import type { Clock, Timer } from './time/clock.ts'
import { TimerWheel, type WheelItem } from './time/timer-wheel.ts'
import { Timing } from './timing.ts'

/** What the broker publishes by itself. */
export interface ServerMessage {
  topic: string
  payload: Buffer | Uint8Array | string
  /** Default 0. */
  qos?: QoS
  /** Default false. */
  retain?: boolean
  properties?: Properties
}

export interface ListenerAddress {
  /** The plugin. */
  readonly name: string
  readonly protocol: string
  readonly host: string
  readonly port: number
}

// The broker's coarse clock: keep-alive is watched to this, and expiries are looked for once a second.
const tickMs = 250
const sweepMs = 1000
const sweepLimit = 1000
// Some 3 ms of work: thousands that connect at once keep those who are there already waiting no longer than that.
const connectsPerTurn = 64

/** Connects everything: who is connected, who has subscribed to what, and the hooks that say what happens. */
export class Broker {
  #settings: Settings
  readonly clock: Clock
  readonly hooks: Hooks
  /** How taps are made safe. @internal */ readonly tapGuard: TapGuardOptions
  readonly services: Services
  /** @internal */ readonly router: Router<Session>
  /** @internal */ readonly topics: TopicCache
  /** @internal */ readonly dispatcher: Dispatcher
  /** @internal */ readonly wills: Wills
  /** @internal */ readonly roster: SessionRoster
  /** Set where durable subscribers are looked up before each message, in place of being known. @internal */
  lookup: SubscriberLookup | null
  /** @internal */ readonly authority: Authority
  /** @internal */ readonly attempts: AttemptGate
  /** @internal */ readonly flusher: Flusher
  /** @internal */ readonly wheel: TimerWheel
  /** @internal */ readonly turns: Turns
  /** Where CONNECT packets wait for one another. @internal */
  readonly door: Gate
  readonly counters: Counters
  /** Numbers that plugins offer. */
  readonly figures: Figures
  /** @internal */ readonly hookTimes: HookTimes
  /** From handing a message to the store until it is kept, where that is not at once. @internal */
  readonly storeTiming: Timing
  /** @internal */ readonly queueLimits: QueueLimits
  /** What the plugins that are there add to the protocol; CONNACK says so. */
  readonly capabilities: { retain: boolean; sharedSubscriptions: boolean }
  /** What a publisher gets whose message `onAuthorize` does not let pass: a refusal, an acknowledgement and nothing else, or a closed connection. @internal */
  deniedPublish: 'refuse' | 'drop' | 'close'
  /** Sessions whose publishers are being slowed. @internal */
  readonly slowed: Set<Session>
  /** Those who keep acknowledgements back just now. @internal */
  readonly withheld: Set<Acknowledger>
  /** What the stores could not do. @internal */
  readonly troubles: StoreTroubles
  /** Connects this broker with other nodes; null: it is alone. @internal */
  forwarder: Forwarder | null
  /** Milliseconds for which a reader that acknowledges nothing slows its publishers. @internal */
  readonly slowPublishersMs: number
  /** The package's version. */
  readonly version: string
  /** The folder of the config, which the paths in it are relative to; the current one where there is no file. */
  readonly folder: string
  /** Where clients can connect, in the order in which it opened. */
  readonly listeners: ListenerAddress[]
  /** The owner of the `log` service; silent until there is one. */
  readonly log: Log
  readonly #errorLines: LineThrottle
  /** `clock.now()`, at most `tickMs` old. */
  now: number
  /** Kept beside the hooks, so that the hot path asks a field. @internal */
  deliverUsed: boolean
  /** @internal */ deliveredUsed: boolean
  /** @internal */ routeUsed: boolean
  readonly #clients: Set<Client>
  readonly #departures: Set<Promise<unknown>>
  readonly #tracedIds: Set<string>
  #store: SessionStore | null
  #timers: Timer[]
  #sweptAt: number
  #sweeping: boolean
  #stopping: boolean

  /** @internal */ constructor(settings: Settings, clock: Clock, version: string, folder = process.cwd()) {
    this.version = version
    this.folder = folder
    this.listeners = []
    const { mqtt } = settings
    this.#settings = settings
    this.clock = clock
    this.hookTimes = new HookTimes()
    this.storeTiming = new Timing(16)
    this.tapGuard = {
      clock,
      verdictTimeoutMs: mqtt.verdictTimeout,
      report: error => this.report(error),
      tapped: hook => this.#tapped(hook),
      times: this.hookTimes,
    }
    this.hooks = createHooks(this.tapGuard)
    this.services = new Services()
    this.router = new Router()
    this.topics = new TopicCache()
    this.flusher = new Flusher()
    this.now = clock.now()
    this.wheel = new TimerWheel(this.now, tickMs)
    this.turns = new Turns()
    this.door = new Gate(connectsPerTurn)
    this.counters = new Counters()
    this.figures = new Figures()
    this.queueLimits = queueLimitsOf(settings)
    this.capabilities = { retain: false, sharedSubscriptions: false }
    this.deniedPublish = 'refuse'
    this.slowed = new Set()
    this.withheld = new Set()
    this.troubles = new StoreTroubles(this)
    this.forwarder = null
    this.slowPublishersMs = 10_000
    this.log = new LateLog(() => this.services.find('log') ?? silentLog)
    this.#errorLines = throttledErrors(clock, this.log)
    this.deliverUsed = false
    this.deliveredUsed = false
    this.routeUsed = false
    this.dispatcher = new Dispatcher(this)
    this.wills = new Wills(this)
    this.roster = new SessionRoster(this)
    this.lookup = null
    this.authority = new Authority(this)
    this.attempts = new AttemptGate(this)
    this.#clients = new Set()
    this.#departures = new Set()
    this.#tracedIds = new Set()
    this.#store = null
    this.#timers = []
    this.#sweptAt = this.now
    this.#sweeping = false
    this.#stopping = false
  }

  /** The broker's own options. */
  get settings(): Settings {
    return this.#settings
  }

  /** Other options, of those that can change while running. @internal */
  changeSettings(settings: Settings): void {
    this.#settings = settings
    Object.assign(this.queueLimits, queueLimitsOf(settings))
  }

  /** The owner of the `sessions` service. @internal */
  get sessions(): SessionStore {
    this.#store ??= this.services.get('sessions')
    return this.#store
  }

  /** `stop` has been called. */
  get stopping(): boolean {
    return this.#stopping
  }

  /** Connected clients. */
  get clients(): ReadonlySet<Client> {
    return this.#clients
  }

  clientOf(clientId: string): Client | undefined {
    return this.roster.get(clientId)?.client ?? undefined
  }

  /**
   * Gives other rights to a client by its id, or to all of a user, while they are connected. What they subscribed to and may no longer
   * is taken away, and so are messages that wait for them; sessions without a connection are treated alike, as far as this broker
   * has seen them; in a cluster all its nodes do so. Holds until the next CONNECT, which is authenticated anew. Returns how many
   * sessions of this node it concerns.
   */
  setRights(whom: Whom, rights: Rights | null): number {
    const count = this.authority.setRights(whom, rights)
    this.forwarder?.rightsChanged(whom, rights)
    return count
  }

  /** Disconnects a client (0x98), in a cluster wherever it is. Its session stays as long as it asked for. `true`: it was connected here. */
  kick(clientId: string): boolean {
    const client = this.clientOf(clientId)
    client?.close(ReasonCode.AdministrativeAction, 'disconnected by an operator')
    if (client === undefined) this.forwarder?.kicked(clientId)
    return client !== undefined
  }

  /** Asks `onAuthorize` again about everything that sessions hold: for a plugin whose rules have changed. */
  recheckRights(): Promise<void> {
    return this.authority.recheckAll()
  }

  // ---- life

  /** Takes up the stored sessions and sets the clock going. Called when all plugins have started, before listeners open. @internal */
  async load(): Promise<void> {
    await this.sessions.open(
      {
        dropped: (clientId, message, reason) => {
          this.drop(clientId, message, reason)
          if (reason !== 'sessionEnded') this.roster.get(clientId)?.dropped(message, reason)
        },
        lost: ({ clientId, epoch }) => {
          const session = this.roster.get(clientId)
          if (session?.epoch === epoch) this.storeFailed(session, new SessionLostError(clientId), session.client)
        },
        appended: clientId => {
          const session = this.roster.get(clientId)
          session?.backlog?.appendedElsewhere()
          session?.backlog?.pump()
        },
        found: subscriber => this.roster.found(subscriber),
        changed: change => this.roster.changed(change),
        gone: session => this.roster.gone(session),
        emptied: () => this.log.error('the session store came back empty: sessions, queues and wills that it had kept are lost'),
      },
      this.queueLimits,
    )
    if (this.sessions.looksUpSubscribers === true) this.lookup = SubscriberLookup.on(this)
    await this.roster.load()
    this.#timers.push(this.clock.every(tickMs, () => this.#tick()))
  }

  /** Says good-bye to every client, waits for what onDisconnect taps still do, and for the store. @internal */
  async stop(): Promise<void> {
    this.#stopping = true
    for (const client of [...this.#clients]) client.close(ReasonCode.ServerShuttingDown, 'the server is shutting down')
    this.flusher.flush()
    while (this.#departures.size > 0) await Promise.all(this.#departures)
    for (const timer of this.#timers) timer.cancel()
    this.#timers = []
    try {
      await this.#store?.flush()
    } catch (error) {
      this.troubles.say(error)
    }
    this.#errorLines.flush()
  }

  #tapped(hook: string): void {
    if (hook === 'onDeliver') this.deliverUsed = true
    else if (hook === 'onDelivered') this.deliveredUsed = true
    else if (hook === 'onRoute') this.routeUsed = true
  }

  #tick(): void {
    this.now = this.clock.now()
    this.wheel.advance(this.now)
    for (const session of this.slowed) session.stalled(this.now)
    for (const acks of this.withheld) acks.watch(this.now)
    if (this.now - this.#sweptAt >= sweepMs) {
      this.#sweptAt = this.now
      this.sweep()
    }
  }

  /** Ends what has expired and sends the wills that are due. @internal */
  sweep(): void {
    this.lookup?.sweep()
    this.roster.departures.retry()
    if (this.#sweeping) return
    const due = this.sessions.expire(this.clock.now(), sweepLimit)
    if (!(due instanceof Promise)) {
      this.wills.due(due)
      return
    }
    this.#sweeping = true
    due
      .then(
        found => this.wills.due(found),
        error => this.troubles.say(error),
      )
      .finally(() => {
        this.#sweeping = false
      })
  }

  // ---- connections

  /** Anybody may connect and nobody has said that this is meant; a listener may have said so for itself. */
  unguarded(allowAnonymous = this.settings.allowAnonymous): boolean {
    return allowAnonymous === undefined && !this.hooks.onAuthenticate.isUsed()
  }

  /** The addresses that a listener binds to: `host`, or loopback only while anybody may connect and nobody said that this is meant. */
  addressesFor(host: string, allowAnonymous?: boolean): string[] {
    return this.unguarded(allowAnonymous) ? ['127.0.0.1', '::1'] : [host]
  }

  listening(address: ListenerAddress): void {
    this.listeners.push(address)
  }

  /** A listener hands over a new connection. Null: refused, and closed. */
  accept(transport: Transport): TransportEvents | null {
    this.counters.connections += 1
    if (transport.seats?.take() === false) {
      this.counters.connectionsRefused += 1
      transport.destroy()
      return null
    }
    const refusal = this.#stopping ? false : this.hooks.onAccept.call(transport)
    if (refusal === false) {
      this.counters.connectionsRefused += 1
      transport.seats?.free()
      if (!this.#stopping) this.hooks.onClosed.call(transport)
      transport.destroy()
      return null
    }
    const client = new Client(this, transport)
    if (refusal !== undefined) client.refusal = toRefusal(refusal as ConnectRefusal)
    this.wheel.schedule(client.timer, this.clock.now() + this.settings.heartbeat)
    this.#clients.add(client)
    return client
  }

  /** @internal */ wheelItem(client: Client): WheelItem {
    return { next: null, previous: null, dueAt: 0, onTimer: now => client.onTimer(now) }
  }

  /** @internal */ clientConnected(client: Client): void {
    const { counters } = this
    counters.connected += 1
    if (counters.connected > counters.connectedMax) counters.connectedMax = counters.connected
    if (!this.log.isLevelEnabled('info')) return
    this.log.info(
      {
        clientId: client.clientId,
        address: client.remoteAddress,
        protocol: client.transport.protocol,
        version: client.version,
        keepAlive: client.keepAlive,
      },
      'connected',
    )
  }

  /** A connection has ended: its session is parked or ended, its will sent or kept, everybody told. @internal */
  clientEnded(client: Client, reason: DisconnectReason, wasConnected: boolean, publishWill: boolean): void {
    const { session } = client
    if (wasConnected) this.counters.connected -= 1
    this.#logEnd(client, reason)
    if (session !== null && session.client === client) this.roster.leave(session, client, publishWill)
    if (client.onConnectBegan) {
      const departure = this.hooks.onDisconnect.promise(client, reason).finally(() => this.#departures.delete(departure))
      this.#departures.add(departure)
    }
  }

  #logEnd(client: Client, reason: DisconnectReason): void {
    const { clientId, remoteAddress: address } = client
    if (clientId !== '') {
      if (this.log.isLevelEnabled('info'))
        this.log.info({ clientId, address, reason: reason.message, code: reason.code, by: reason.by }, 'disconnected')
    } else if (this.log.isLevelEnabled('debug')) {
      this.log.debug({ address, reason: reason.message }, 'closed before CONNECT')
    }
  }

  /** @internal */ transportClosed(client: Client): void {
    client.transport.seats?.free()
    this.hooks.onClosed.call(client.transport)
    this.#clients.delete(client)
  }

  /** Gives the last bytes a moment to leave. @internal */
  linger(client: Client, ms: number): void {
    const timer = this.clock.after(ms, () => client.transport.destroy())
    client.onGone = () => timer.cancel()
  }

  // ---- messages

  /** Brings an accepted message to its subscribers. @internal */
  dispatch(message: Message, publisher: Session | null, received: ReceivedId | null): Outcome {
    return this.dispatcher.dispatch(message, publisher, received)
  }

  /** @internal */ rememberOnly(message: Message, received: ReceivedId | null): Outcome {
    return this.dispatcher.remember(message, received)
  }

  /** One message to one connected client, whatever it has subscribed to: retained messages, answers. */
  deliver(client: Client, message: Message, qos: QoS, retain: boolean, identifiers: readonly number[] | null): void {
    if (client.session !== null && client.state === 'connected')
      this.dispatcher.deliverTo(client.session, message, qos, retain, identifiers, null)
  }

  /** Publishes in the broker's own name; resolves when everybody who has to keep the message has it. */
  publish(message: ServerMessage): Promise<void> {
    return publishOwn(this, message)
  }

  /** A message did not reach a subscriber. */
  drop(clientId: string, message: Message, reason: DropReason): void {
    this.counters.dropped[reason] += 1
    const { onDrop } = this.hooks
    if (onDrop.isUsed()) onDrop.call(clientId, message, reason)
  }

  // ---- trouble

  /** Something failed that no client is to blame for. */
  report(error: Error): void {
    if (error instanceof TapError) {
      this.counters.tapErrors += 1
      if (this.#errorLines.pass(`${error.plugin} at ${error.hook}`) > 0)
        this.log.error({ plugin: error.plugin, hook: error.hook, err: error.cause ?? error }, error.message)
    } else if (this.#errorLines.pass((error as NodeJS.ErrnoException).code ?? error.name) > 0) {
      this.log.error({ err: error }, error.message)
    }
    // A tap on onError that fails is logged only: told of its own failure, it would fail again, and so on.
    if (!(error instanceof TapError && error.hook === 'onError')) this.hooks.onError.call(error)
  }

  /** A write to the store failed: `client`, on whose behalf it was, comes again and finds its session as it was before. @internal */
  storeFailed(session: Session, error: unknown, client: Client | null): void {
    if (error instanceof SessionLostError) {
      if (session.client === client) client?.close(ReasonCode.SessionTakenOver, 'another broker has this session now')
      return
    }
    this.troubles.say(error)
    const code = error instanceof StoreFullError ? ReasonCode.QuotaExceeded : ReasonCode.ServerUnavailable
    client?.close(code, 'the session store did not take a write')
  }

  /** Sends a client's packets to onPacketReceived and onPacketSent, from its next connection on and for the present one. */
  trace(clientId: string, on = true): void {
    if (on) this.#tracedIds.add(clientId)
    else this.#tracedIds.delete(clientId)
    const client = this.clientOf(clientId)
    if (client !== undefined) client.traced = on
  }

  traces(clientId: string): boolean {
    return this.traceAll || this.#tracedIds.has(clientId)
  }

  /** Traces everybody: the log plugin at level `trace`. @internal */
  traceAll = false
}
