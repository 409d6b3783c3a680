import { type Client as CoreClient, Message, type Meter, type QoS, ReasonCode } from '../index.ts'
import type { Client } from './client.ts'
import type { Done } from './done.ts'
import { Filters } from './filters.ts'
import type { OwnPublishPacket } from './packet-types.ts'
import { coreProperties } from './packets.ts'

/** What binds a client of aedes' API to the broker's own. */
export class Link {
  readonly client: Client
  /** Its subscriptions, as they come and go. */
  readonly filters: Filters
  /** The broker's own client; null until its CONNECT has been read. */
  core: CoreClient | null = null
  /** The Keep Alive that it is to have in place of its own; null: it keeps its own. */
  keepAlive: number | null = null
  /** When its stream was handed to the broker: milliseconds since the Unix epoch. */
  openedAt = 0
  /** The return code that its CONNACK has, where it is refused. */
  returnCode = 0
  /** The event `client` has been emitted: `clientDisconnect` is to follow. */
  registered = false
  /** The identifier of the PUBLISH that is being judged, where somebody wants to know. */
  packetId = 0
  /** The identifier of the last acknowledgement that came. */
  ackId = 0
  /** Nothing was heard of it for too long. */
  silent = false
  /** What its first bytes name is no MQTT. */
  otherProtocol = false
  /** Since when the stream takes nothing more; 0: it takes what it is given. */
  stalledAt = 0
  /** Its end has been told. */
  #ended = false
  #brakes = 0
  #error: Error | null = null
  #waiting: (() => void)[] | null = []

  constructor(client: Client) {
    this.client = client
    this.filters = new Filters(this)
  }

  /** What the connection is about to end by: it is told as the reason when it has ended. */
  blame(error: Error): void {
    this.#error ??= error
  }

  /** CONNACK is written: what the program wanted of the client before can be done. */
  open(): void {
    const waiting = this.#waiting ?? []
    this.#waiting = null
    for (const callback of waiting) callback()
  }

  /** Does something with the client once it is connected, and says how that went. */
  whenConnected(act: () => void | Promise<void>, done: Done): void {
    const run = (): void => {
      if (this.client.closed || this.core?.state !== 'connected') return done(new Error('connection closed'))
      try {
        const result = act()
        if (result instanceof Promise) result.then(() => done(), done)
        else done()
      } catch (error) {
        done(error as Error)
      }
    }
    if (this.#waiting === null || this.client.closed) run()
    else this.#waiting.push(run)
  }

  publish({ topic, payload = '', qos = 0, properties }: OwnPublishPacket, done: Done): void {
    const { wiring } = this.client.broker
    this.whenConnected(() => {
      const message = new Message({
        topic,
        payload: typeof payload === 'string' ? Buffer.from(payload) : Buffer.from(payload),
        qos: qos as QoS,
        retain: false,
        properties: properties && coreProperties(properties),
        origin: 'server',
        clientId: '',
        receivedAt: wiring.broker.now,
      })
      wiring.broker.deliver(this.core!, message, message.qos, false, null)
      // What is written leaves at the end of this turn.
      return new Promise(resolve => wiring.broker.clock.turn(resolve))
    }, done)
  }

  /** Ends the connection for the program. */
  close(): void {
    const { client, core } = this
    if (client.closed) return
    const connected = core?.state === 'connected'
    if (connected) core!.close(ReasonCode.AdministrativeAction, 'closed by the program')
    if (!connected || core!.version !== 5) client.conn.destroy()
    this.end()
  }

  /** The broker has let go of a stream before its client was let in. */
  refused(): void {
    const { client } = this
    if (client.closed) return
    const { wiring } = client.broker
    if (this.returnCode > 0)
      client.broker.emit('connackSent', { cmd: 'connack', returnCode: this.returnCode, sessionPresent: false }, client)
    const late = this.core === null && wiring.broker.clock.now() - this.openedAt >= wiring.options.connectTimeout
    this.blame(new Error(late ? 'connect did not arrive in time' : this.otherProtocol ? 'Invalid protocolId' : 'Invalid protocol'))
    // What was written has a turn to be read.
    wiring.later(() => client.conn.destroy())
    this.end()
  }

  /** Reads nothing more of the client until what is returned is called, as often as this was. */
  brake(): () => void {
    const { core } = this
    this.#brakes += 1
    if (this.#brakes === 1) core?.pauseReading('aedes.published')
    return () => {
      this.#brakes -= 1
      if (this.#brakes === 0) core?.resumeReading('aedes.published')
    }
  }

  /** Something went wrong with this client, which ends it. `reasonCode`: what an MQTT 5 client is told. */
  fail(error: Error, reasonCode: ReasonCode = ReasonCode.UnspecifiedError): void {
    if (this.client.closed) return
    this.blame(error)
    const { core, client } = this
    if (core !== null && !core.closed) core.close(reasonCode, error.message)
    // An MQTT 5 client is told why, and has a moment to read it.
    if (core === null || core.version !== 5 || client.conn.writableFinished) client.conn.destroy()
    this.end()
  }

  /** The connection has ended: says so at once, and tells it, once, behind what is under way. */
  end(): void {
    if (this.#ended) return
    this.#ended = true
    const { client, registered } = this
    const { broker } = client
    client.closed = true
    client.connected = false
    client.connecting = false
    if (registered) broker.wiring.remove(client)
    this.open()
    broker.wiring.later(() => {
      if (this.silent) broker.emit('keepaliveTimeout', client)
      const error = this.#error
      if (error !== null) {
        broker.emit(client.id === null ? 'connectionError' : 'clientError', client, error)
        if (client.listenerCount('error') > 0) client.emit('error', error)
      }
      if (registered) broker.wiring.left(client)
    })
  }

  async emptyQueue(): Promise<void> {
    const { id, broker } = this.client
    if (id !== null) await broker.wiring.broker.clearQueue(id)
  }
}

declare module './client.js' {
  interface Client {
    /** @internal */
    link: Link
  }
}

/** Notes which packet a PUBLISH came in: what counts it otherwise still does. */
export class PacketIds implements Meter {
  readonly #link: Link
  readonly #inner: Meter | null

  constructor(link: Link, inner: Meter | null) {
    this.#link = link
    this.#inner = inner
  }

  read(bytes: number): void {
    this.#inner?.read(bytes)
  }

  publish(publish: Parameters<Meter['publish']>[0]): ReturnType<Meter['publish']> {
    this.#link.packetId = publish.packetId
    return this.#inner?.publish(publish)
  }
}
