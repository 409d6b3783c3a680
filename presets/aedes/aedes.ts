import { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { OperatorError, type RunningBroker, type ServerMessage, SystemClock } from '../index.ts'
import { Client } from './client.ts'
import type { Connection } from './connection.ts'
import type { Done } from './done.ts'
import { tapEvents } from './event-taps.ts'
import { HandlerTaps } from './handler-taps.ts'
import type {
  AedesOptions,
  AuthenticateHandler,
  AuthorizeForwardHandler,
  AuthorizePublishHandler,
  AuthorizeSubscribeHandler,
  Brokers,
  PreConnectHandler,
  PublishedHandler,
} from './handler-types.ts'
import { Kept } from './kept.ts'
import { type Deliver, Mq } from './mq.ts'
import { checkOptions, configOf } from './options.ts'
import { OwnSubscriptions } from './own-subscriptions.ts'
import type { AedesPublishPacket, ConnackPacket, OwnPublishPacket, PingreqPacket, PubrelPacket, Subscription } from './packet-types.ts'
import { coreProperties } from './packets.ts'
import { Persistence } from './persistence.ts'
import { type Part, Wiring } from './wiring.ts'

/** The events of a broker, with what their listeners are given. */
export interface AedesEvents {
  /** A client has its session; CONNACK is yet to leave. */
  client: [client: Client]
  /** A client may be used. */
  clientReady: [client: Client]
  /** A client that `client` told of has gone. */
  clientDisconnect: [client: Client]
  /** The connection of a client ends by an error, its own or the network's. */
  clientError: [client: Client, error: Error]
  /** The same for a connection whose client has no id yet. */
  connectionError: [client: Client, error: Error]
  /** Nothing was heard of a client for one and a half of its Keep Alive; `clientError` follows. */
  keepaliveTimeout: [client: Client]
  /** A message has been accepted; `client` is null where no client published it. */
  publish: [packet: AedesPublishPacket, client: Client | null]
  /** A client has acknowledged a message of QoS 1 (the PUBLISH) or 2 (the PUBREL). */
  ack: [packet: AedesPublishPacket | PubrelPacket, client: Client]
  /** A client has sent a PINGREQ. */
  ping: [packet: PingreqPacket, client: Client]
  /** A client has subscribed; what was refused has QoS 128. */
  subscribe: [subscriptions: Subscription[], client: Client]
  /** A client has unsubscribed, or a session without expiry has ended with what it was subscribed to. */
  unsubscribe: [unsubscriptions: string[], client: Client]
  /** CONNACK has been sent. */
  connackSent: [packet: ConnackPacket, client: Client]
  /** The broker is closed. */
  closed: []
  /** Something is wrong with the broker itself. */
  error: [error: Error]
}

// What listeners of an event cost something for is done only where there are any.
const partsOfEvents: Readonly<Record<string, Part>> = { publish: 'routes', ack: 'acks', ping: 'packets' }

/** aedes' documented API on this broker: docs/coming-from-aedes.md. */
export class Aedes extends EventEmitter<AedesEvents> {
  /** Names this broker. */
  readonly id: string
  /** Takes a connection: `net.createServer(aedes.handle)`. `request`: the one that a WebSocket began with, for `client.req`. One that comes before `listen` waits for it. */
  readonly handle: (stream: Connection, request?: IncomingMessage) => Client
  /** The broker's messages in the form of an emitter. */
  readonly mq: Mq
  /** What is kept, to be read. */
  readonly persistence: Persistence
  /** The clients that have a session, by client id. */
  readonly clients: Record<string, Client>
  /** When each broker of the cluster was last heard of. */
  readonly brokers: Brokers
  /** How many clients are connected. */
  connectedClients: number
  /** The broker is closed, or does not run yet. */
  closed: boolean
  /** Asked first about a CONNECT. Default: everybody may go on. */
  preConnect: PreConnectHandler
  /** @internal */
  readonly wiring: Wiring
  readonly #options: AedesOptions
  readonly #own: OwnSubscriptions
  #authenticate: AuthenticateHandler
  #authorizePublish: AuthorizePublishHandler
  #authorizeSubscribe: AuthorizeSubscribeHandler
  #authorizeForward: AuthorizeForwardHandler
  #published: PublishedHandler
  #starting: Promise<void> | undefined
  #closing: Promise<void> | undefined

  /** Throws an `OperatorError` (`ERR_AEDES_OPTION`) that names a wrong option. The broker runs after `listen`. */
  constructor(options: AedesOptions = {}) {
    super()
    const checked = checkOptions(options)
    this.#options = options
    this.id = options.id ?? (options.config?.brokerId === undefined ? randomId() : String(options.config.brokerId))
    this.wiring = new Wiring(this, checked, wiring => ({
      handlers: new HandlerTaps(wiring),
      tapEvents: hooks => tapEvents(wiring, hooks),
    }))
    this.#own = new OwnSubscriptions(this.wiring)
    this.handle = (stream, request) => new Client(this, stream, request)
    this.mq = new Mq(this)
    this.persistence = new Persistence(new Kept(this.wiring))
    // Names come from clients: `__proto__` is one like any other.
    this.clients = Object.create(null)
    this.brokers = Object.create(null)
    this.connectedClients = 0
    this.closed = true
    this.preConnect = options.preConnect ?? everybodyMayGoOn
    this.#authenticate = everybody
    this.#authorizePublish = notToSys
    this.#authorizeSubscribe = everyFilter
    this.#authorizeForward = everyPacket
    this.#published = atOnce
    if (options.authenticate) this.authenticate = options.authenticate
    if (options.authorizePublish) this.authorizePublish = options.authorizePublish
    if (options.authorizeSubscribe) this.authorizeSubscribe = options.authorizeSubscribe
    if (options.authorizeForward) this.authorizeForward = options.authorizeForward
    if (options.published) this.published = options.published
    const emitter: EventEmitter = this as never
    emitter.on('newListener', (event: string) => {
      const part = partsOfEvents[event]
      if (part !== undefined) this.wiring.handlers.need(part)
    })
  }

  /** Makes a broker and starts it. Rejects with an `OperatorError` that names the cure. */
  static async createBroker(options?: AedesOptions): Promise<Aedes> {
    const aedes = new Aedes(options)
    await aedes.listen()
    return aedes
  }

  /** Starts the broker. */
  listen(): Promise<void> {
    this.#starting ??= this.wiring.start(configOf(this.id, this.wiring.options, this.#options.config)).then(() => {
      this.closed = false
    })
    return this.#starting
  }

  /** The broker below this API: hooks, `inspect`, `operate` and all else that it can. Throws an `OperatorError` (`ERR_AEDES_CLOSED`) before `listen`. */
  get running(): RunningBroker {
    return this.wiring.running
  }

  /** The version of `mqttx-broker`. */
  get version(): string {
    return this.wiring.broker.version
  }

  /** How many packets have been made for the program: each has the next number as its `brokerCounter`. */
  get counter(): number {
    return this.wiring.counter
  }

  /** Asked who a client is. Default: everybody on this machine is let in; with an authentication plugin, or `allowAnonymous`, in `config`, whom that lets in. */
  get authenticate(): AuthenticateHandler {
    return this.#authenticate
  }

  set authenticate(handler: AuthenticateHandler) {
    this.#authenticate = handler
    this.wiring.handlers.authenticates = handler !== everybody
  }

  /** Asked about each message that a client publishes, and about its will. Default: everything but `$SYS/…`, which no handler can allow. */
  get authorizePublish(): AuthorizePublishHandler {
    return this.#authorizePublish
  }

  set authorizePublish(handler: AuthorizePublishHandler) {
    this.#authorizePublish = handler
    if (handler !== notToSys) this.wiring.handlers.need('publishes')
  }

  /** Asked about each topic filter that a client subscribes to, and about those of a session that is resumed. Default: every one. */
  get authorizeSubscribe(): AuthorizeSubscribeHandler {
    return this.#authorizeSubscribe
  }

  set authorizeSubscribe(handler: AuthorizeSubscribeHandler) {
    this.#authorizeSubscribe = handler
    if (handler !== everyFilter) this.wiring.handlers.need('resumed')
  }

  /** Asked about each message on its way to each client. Default: every one. */
  get authorizeForward(): AuthorizeForwardHandler {
    return this.#authorizeForward
  }

  set authorizeForward(handler: AuthorizeForwardHandler) {
    this.#authorizeForward = handler
    if (handler !== everyPacket) this.wiring.handlers.need('deliveries')
  }

  /** Told of each message that has been accepted; the publisher's acknowledgement, and what it sends next, wait for the callback. Default: nobody waits. */
  get published(): PublishedHandler {
    return this.#published
  }

  set published(handler: PublishedHandler) {
    this.#published = handler
    if (handler !== atOnce) this.wiring.handlers.need('published')
  }

  /** Publishes in the broker's own name. `done` is called when everybody who has to keep the message has it, or with why it could not be published. */
  publish(packet: OwnPublishPacket, done: Done = nothing): void {
    const { topic, payload = '', qos = 0, retain = false, properties } = packet
    const fault = this.#fault(topic)
    if (fault !== null) return done(fault)
    const message: ServerMessage = { topic, payload, qos, retain }
    if (properties !== undefined) message.properties = coreProperties(properties)
    this.wiring.whenStarted(() => {
      new Promise<void>(resolve => resolve(this.wiring.broker.publish(message))).then(() => done(), done)
    })
  }

  /** Subscribes the program itself: `deliver` gets each message that the filter matches, whoever publishes it. Retained messages are not handed over. */
  subscribe(topic: string, deliver: Deliver, done: Done = nothing): void {
    const fault = this.#fault(topic)
    if (fault !== null) return done(fault)
    this.wiring.whenStarted(() => {
      this.#own.add(topic, deliver)
      this.wiring.broker.clock.turn(() => done())
    })
  }

  /** Ends what `subscribe` began with the same filter and the same function. */
  unsubscribe(topic: string, deliver: Deliver, done: Done = nothing): void {
    const fault = this.#fault(topic)
    if (fault !== null) return done(fault)
    this.wiring.whenStarted(() => {
      this.#own.remove(topic, deliver)
      this.wiring.broker.clock.turn(() => done())
    })
  }

  #fault(topic: string): Error | null {
    if (this.#closing !== undefined) return new OperatorError('ERR_AEDES_CLOSED', 'the broker is closed; make another one')
    return topic.split('/').length > this.wiring.options.maxTopicLevels ? new Error('topic has too many levels') : null
  }

  /** Disconnects all clients and stops. May be called again. */
  close(done: () => void = nothing): void {
    this.#closing ??= this.#close()
    void this.#closing.then(done)
  }

  async #close(): Promise<void> {
    const running = !this.closed
    this.closed = true
    await this.#starting?.catch(nothing)
    this.closed = true
    await this.wiring.stop()
    this.mq.closed = true
    if (running || this.#starting !== undefined) this.emit('closed')
  }
}

const nothing = (): void => {}

/** A random UUID (version 4). */
function randomId(): string {
  const hex = new SystemClock().random(16).toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`
}

const everybodyMayGoOn: PreConnectHandler = (_client, _packet, callback) => callback(null, true)
const everybody: AuthenticateHandler = (_client, _username, _password, done) => done(null, true)
const everyFilter: AuthorizeSubscribeHandler = (_client, subscription, callback) => callback(null, subscription)
const everyPacket: AuthorizeForwardHandler = (_client, packet) => packet
const atOnce: PublishedHandler = (_packet, _client, callback) => callback(null)

const notToSys: AuthorizePublishHandler = (_client, { topic }, callback) =>
  callback(topic.startsWith('$SYS/') ? new Error('$SYS/ topic is reserved') : null)

// A client and its broker name each other: the broker says so for both.
declare module './client.js' {
  interface Client {
    /** The broker that the client is connected to. */
    broker: Aedes
  }
}
