import { Socket } from 'node:net'
import { MessageChannel } from 'node:worker_threads'
import {
  type Broker,
  type Config,
  type Client as CoreClient,
  createBroker,
  definePlugin,
  type Hooks,
  OperatorError,
  type Preset,
  type PresetList,
  presets,
  ReasonCode,
  type RunningBroker,
  type RunningPlugin,
  Stage,
  type Timer,
  type Transport,
} from '../index.ts'
import { Client } from './client.ts'
import { Link } from './link.ts'
import { acceptInTurns } from './memory-transport.ts'
import type { CheckedOptions } from './options.ts'
import { namesOtherProtocol } from './protocol-name.ts'
import { TransportStream } from './transport-stream.ts'

// How often a look is taken for clients that take nothing, at most.
const sweepMs = 1000

/** What costs something for each message or packet, and is done only where the program asks for it. */
export type Part = 'publishes' | 'resumed' | 'deliveries' | 'published' | 'routes' | 'acks' | 'packets'

/** What asks the program's functions. */
export interface Handlers {
  /** `authenticate` is the program's own. */
  authenticates: boolean
  /** From now on the program is asked about this, or told of it. */
  need(part: Part): void
  /** Taps what is needed. */
  start(broker: Broker): void
}

/** What taps the broker's hooks for the program. */
export interface Taps {
  readonly handlers: Handlers
  tapEvents(hooks: Hooks): void
}

/** What binds the API to a broker: who the clients are, and when each of them is told of. */
export class Wiring {
  readonly aedes: Client['broker']
  readonly options: CheckedOptions
  /** Asks the program's functions, as far as it has any. */
  readonly handlers: Handlers
  readonly #taps: Taps
  readonly #clients = new WeakMap<Transport, Client>()
  readonly #open = new Set<Client>()
  readonly #whenStarted: (() => void)[] = []
  readonly #timers: Timer[] = []
  // A broker that runs keeps its process, as aedes does, also where nothing listens.
  readonly #alive = new MessageChannel().port1
  #broker: Broker | null = null
  #running: RunningBroker | null = null
  // Whose stream the broker is just taking.
  #taking: Client | null = null
  #stopped = false
  #counter = 0
  /** Nobody but the handler `authenticate` says who may connect. */
  unguarded = false

  constructor(aedes: Client['broker'], options: CheckedOptions, tapsOf: (wiring: Wiring) => Taps) {
    this.aedes = aedes
    this.options = options
    this.#taps = tapsOf(this)
    this.handlers = this.#taps.handlers
  }

  /** The broker itself. Throws an `OperatorError` (`ERR_AEDES_CLOSED`) before `listen` and after `close`. */
  get broker(): Broker {
    return this.#broker ?? notRunning()
  }

  /** The same with what a program does with it. */
  get running(): RunningBroker {
    return this.#running ?? notRunning()
  }

  get id(): string {
    return this.aedes.id
  }

  /** How many packets have been made. */
  get counter(): number {
    return this.#counter
  }

  /** The number of the next packet. */
  next(): number {
    this.#counter += 1
    return this.#counter
  }

  async start(config: Config): Promise<void> {
    const { preset } = config
    const listed = typeof preset === 'string' ? presets[preset] : (preset ?? presets.test)
    const plugin = definePlugin({ name: 'aedes', apply: ({ broker }) => this.#apply(broker) })
    // Before all others, so that its taps are there when the first listener opens.
    const first =
      (list: PresetList): PresetList =>
      () => [plugin(), ...list()]
    const withPlugin: Preset | undefined =
      typeof listed === 'object' ? { ...listed, plugins: first(listed.plugins) } : listed && first(listed)
    this.#running = await createBroker({ ...config, preset: withPlugin ?? preset }).start()
    this.#alive.ref()
    for (const callback of this.#whenStarted.splice(0)) callback()
    this.#beat(this.#running.broker)
  }

  #apply(broker: Broker): RunningPlugin {
    this.#broker = broker
    const { hooks } = broker
    // Before all others, which may refuse it.
    hooks.onAccept.tap({ name: 'aedes', stage: Stage.Guard - 1 }, transport => {
      if (this.#taking !== null) this.#clients.set(transport, this.#taking)
    })
    hooks.onClosed.tap('aedes', transport => {
      const conn = this.#clients.get(transport)?.conn
      if (conn instanceof TransportStream) conn.destroy()
    })
    this.#taps.tapEvents(hooks)
    let open = false
    return {
      listen: () => {
        if (open) return
        open = true
        // From the tap on, it looks as if somebody said who may connect.
        this.unguarded = broker.unguarded()
        this.handlers.start(broker)
      },
    }
  }

  #beat({ clock, services }: Broker): void {
    const { aedes } = this
    const { heartbeatInterval, drainTimeout } = this.options
    const heard = (id: string): void => {
      aedes.brokers[id] = clock.now()
    }
    // Alone, nobody else is to be heard of.
    if (services.find('bus') === undefined) heard(aedes.id)
    else this.broker.subscribe('$SYS/+/heartbeat', ({ payload }) => heard(String(payload)))
    this.#timers.push(
      clock.every(heartbeatInterval, () => {
        for (const [id, at] of Object.entries(aedes.brokers)) if (at + 3 * heartbeatInterval < clock.now()) delete aedes.brokers[id]
        if (services.find('bus') === undefined) heard(aedes.id)
        this.say('heartbeat', aedes.id)
      }),
    )
    if (drainTimeout > 0) this.#timers.push(clock.every(Math.min(sweepMs, Math.ceil(drainTimeout / 4)), () => this.#sweep(clock.now())))
    this.say('birth', aedes.id)
  }

  /** Calls once the broker runs: now, or when it does. */
  whenStarted(callback: () => void): void {
    if (this.#running === null && !this.#stopped) this.#whenStarted.push(callback)
    else callback()
  }

  /** Publishes to a topic of `$SYS/{id}/`. */
  say(topic: string, payload: string): void {
    if (this.#stopped || this.#running === null) return
    this.#running.publish({ topic: `$SYS/${this.aedes.id}/${topic}`, payload }).catch(error => this.broker.report(error))
  }

  /** Takes the connection of a new client. */
  take(client: Client): void {
    const { conn } = client
    const link = new Link(client)
    client.link = link
    this.#open.add(client)
    conn.on('error', error => link.fail(error instanceof Error ? error : new Error(String(error))))
    // A stream that ends before its client was let in was ended by the broker, or by its far end; nobody else ends it.
    const byBroker = (): boolean => conn.writableEnded && !conn.readableEnded && !this.#stopped
    conn.once('close', () => {
      this.#open.delete(client)
      if (byBroker()) link.refused()
      link.end()
    })
    if (conn instanceof TransportStream) return
    conn.on('drain', () => {
      link.stalledAt = 0
    })
    // Everything is written by then.
    conn.once('prefinish', () => {
      if (byBroker()) link.refused()
    })
    this.whenStarted(() => this.#hand(client))
  }

  #hand(client: Client): void {
    const { conn, link } = client
    if (this.#stopped || this.#running === null) return void conn.destroy()
    link.openedAt = this.broker.clock.now()
    conn.once('data', (bytes: unknown) => {
      link.otherProtocol = Buffer.isBuffer(bytes) && namesOtherProtocol(bytes)
    })
    this.#taking = client
    try {
      if (conn instanceof Socket) this.#running.accept(conn, { listener: 'aedes' })
      else acceptInTurns(this.#running, conn)
    } finally {
      this.#taking = null
    }
  }

  /** The client of this API for one of the broker's. One that came by a listener of the config is made now. */
  clientOf(core: CoreClient): Client {
    let client = this.#clients.get(core.transport)
    if (client === undefined) {
      client = new Client(this.aedes, new TransportStream(core.transport))
      this.#clients.set(core.transport, client)
    }
    client.link.core ??= core
    return client
  }

  /** The client has its session. */
  came(client: Client): void {
    const { aedes } = this
    client.link.registered = true
    aedes.connectedClients += 1
    aedes.clients[client.id] = client
    // Behind the end of the one whose place it takes.
    this.later(() => {
      aedes.emit('client', client)
      this.say('new/clients', client.id)
    })
  }

  /** The connection of a client that had its session has ended. */
  remove(client: Client): void {
    const { aedes } = this
    aedes.connectedClients -= 1
    if (aedes.clients[client.id] === client) delete aedes.clients[client.id]
  }

  /** The same, when it is told. */
  left(client: Client): void {
    this.aedes.emit('clientDisconnect', client)
    this.say('disconnect/clients', client.id)
  }

  /** Calls in a later turn of the event loop. */
  later(callback: () => void): void {
    if (this.#broker === null) queueMicrotask(callback)
    else this.#broker.clock.turn(callback)
  }

  #sweep(now: number): void {
    for (const { conn, link } of this.#open) {
      if (!conn.writableNeedDrain) link.stalledAt = 0
      else if (link.stalledAt === 0) link.stalledAt = now
      else if (now - link.stalledAt >= this.options.drainTimeout) link.fail(new Error('drain timeout'), ReasonCode.QuotaExceeded)
    }
  }

  /** Stops the broker, and closes what it has not taken yet. */
  async stop(): Promise<void> {
    this.#stopped = true
    for (const timer of this.#timers) timer.cancel()
    for (const callback of this.#whenStarted.splice(0)) callback()
    await this.#running?.stop()
    for (const { conn } of this.#open) conn.destroy()
    this.#alive.close()
  }
}

function notRunning(): never {
  throw new OperatorError('ERR_AEDES_CLOSED', 'the broker does not run; await aedes.listen(), or Aedes.createBroker()')
}

declare module '../../core/error-codes.js' {
  interface ErrorCodes {
    /** A program uses a broker of `mqttx-broker/aedes` that does not run yet, or not any more. */
    ERR_AEDES_CLOSED: true
  }
}
