import type { Counters } from '../counters.ts'
import type { Hooks } from '../hooks.ts'
import { LineThrottle } from '../line-throttle.ts'
import type { Log } from '../log.ts'
import type { Settings } from '../options/settings.ts'
import { ReasonCode } from '../reason.ts'
import { type ConnectRefusal, toRefusal } from '../refusals.ts'
import type { KnownSession } from '../sessions/known-session.ts'
import type { Clock } from '../time/clock.ts'
import type { TimerWheel } from '../time/timer-wheel.ts'
import { Connection } from './connection.ts'
import type { ConnectionHost, PacketHandlers } from './connection-host.ts'
import type { DisconnectReason } from './disconnect-reason.ts'
import type { Transport } from './transport.ts'

/** What is used of the broker here. */
export interface ConnectionsHost extends ConnectionHost {
  readonly hooks: Hooks
  readonly settings: Settings
  readonly counters: Counters
  readonly clock: Clock
  readonly log: Log
  readonly wheel: TimerWheel
  readonly stopping: boolean
  /** The connection of a session has ended. */
  leave(session: KnownSession, connection: Connection, publishWill: boolean): void
}

/** All connections of a broker, from the first byte to the last: counted, logged, and told to the hooks. */
export class Connections {
  readonly #host: ConnectionsHost
  readonly #handlers: PacketHandlers
  readonly #all: Set<Connection>
  /** `onDisconnect` taps that are still at work. */
  readonly #disconnecting: Set<Promise<unknown>>
  // Whoever may not come in may come again at once.
  readonly #refused: LineThrottle

  constructor(host: ConnectionsHost, handlers: PacketHandlers) {
    this.#host = host
    this.#handlers = handlers
    this.#all = new Set()
    this.#disconnecting = new Set()
    this.#refused = new LineThrottle(host.clock, { everyMs: 1000, kindsMax: 1000 })
  }

  get all(): ReadonlySet<Connection> {
    return this.#all
  }

  /** A listener hands over a new connection. Null: refused, and closed. */
  accept(transport: Transport): Connection | null {
    const { counters, hooks, stopping, settings, clock, wheel } = this.#host
    counters.connections += 1
    if (transport.seats?.take() === false) {
      counters.connectionsRefused += 1
      transport.destroy()
      return null
    }
    const { acceptedAs } = transport
    const refusal = stopping ? false : acceptedAs === undefined ? hooks.onAccept.call(transport) : (acceptedAs ?? undefined)
    if (refusal === false) {
      counters.connectionsRefused += 1
      transport.seats?.free()
      if (!stopping && acceptedAs === undefined) hooks.onClosed.call(transport)
      transport.destroy()
      return null
    }
    const connection = new Connection(this.#host, this.#handlers, transport)
    if (refusal !== undefined) connection.refusal = toRefusal(refusal as ConnectRefusal)
    wheel.schedule(connection.timer, clock.now() + settings.heartbeat)
    this.#all.add(connection)
    return connection
  }

  /** CONNACK is written. */
  connected(connection: Connection, sessionPresent: boolean): void {
    const { version, keepAlive, session } = connection
    const { counters, log } = this.#host
    counters.connected += 1
    if (counters.connected > counters.connectedMax) counters.connectedMax = counters.connected
    if (!log.isLevelEnabled('info')) return
    const expiry = session?.expiryMs === Number.POSITIVE_INFINITY ? 'never' : (session?.expiryMs ?? 0) / 1000
    log.info({ ...this.#who(connection), version, keepAlive, expiry, sessionPresent }, 'connected')
  }

  /** A connection has ended: its session is parked or ended, its will sent or kept, everybody told. */
  ended(connection: Connection, reason: DisconnectReason, wasConnected: boolean, publishWill: boolean): void {
    const { counters, hooks } = this.#host
    const { session } = connection
    if (wasConnected) counters.connected -= 1
    this.#logEnd(connection, reason, wasConnected)
    if (session !== null && session.client === connection) this.#host.leave(session, connection, publishWill && wasConnected)
    if (connection.onConnectBegan) {
      const told = hooks.onDisconnect.promise(connection, reason).finally(() => this.#disconnecting.delete(told))
      this.#disconnecting.add(told)
    }
  }

  #logEnd(connection: Connection, { message: reason, code, by }: DisconnectReason, wasConnected: boolean): void {
    const { log, clock } = this.#host
    const { clientId, remoteAddress: address, transport, acceptedAt } = connection
    // Whoever has only looked whether the port is open has done nothing wrong.
    const level = clientId === '' && by !== 'server' ? 'debug' : 'info'
    if (!log.isLevelEnabled(level)) return
    const times = wasConnected || level === 'debug' ? 1 : this.#refused.pass(address)
    if (times === 0) return
    const more = times > 1 ? { times } : {}
    if (clientId === '') return log[level]({ address, listener: transport.listener, reason, ...more }, 'closed before CONNECT')
    const seconds = Math.round((clock.now() - acceptedAt) / 1000)
    log.info({ ...this.#who(connection), reason, code, by, ...(wasConnected ? { seconds } : {}), ...more }, 'disconnected')
  }

  /** What each line says of a client. */
  #who({ clientId, username: user, remoteAddress: address, transport }: Connection): object {
    const { protocol, listener } = transport
    return { clientId, user, address, protocol, listener, node: this.#host.settings.brokerId }
  }

  /** The transport has closed. */
  closed(connection: Connection): void {
    connection.transport.seats?.free()
    this.#host.hooks.onClosed.call(connection.transport)
    this.#all.delete(connection)
  }

  /** Says good-bye to every client. */
  closeAll(): void {
    for (const connection of [...this.#all]) connection.close(ReasonCode.ServerShuttingDown, 'the server is shutting down')
  }

  /** Resolves when no `onDisconnect` tap is at work any more. */
  async told(): Promise<void> {
    while (this.#disconnecting.size > 0) await Promise.all(this.#disconnecting)
  }
}
