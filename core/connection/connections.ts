import { ReasonCode } from '../reason.ts'
import { type ConnectRefusal, toRefusal } from '../refusals.ts'
import type { KnownSession } from '../sessions/known-session.ts'
import { Connection } from './connection.ts'
import type { ConnectionHost, PacketHandlers } from './connection-host.ts'
import type { DisconnectReason } from './disconnect-reason.ts'
import type { Transport } from './transport.ts'

/** What is used of the broker here. */
export interface ConnectionsHost extends ConnectionHost {
  readonly stopping: boolean
  /** The connection of a session has ended. */
  leave(session: KnownSession, connection: Connection, publishWill: boolean): void
}

/** All connections of a broker, from the first byte to the last: counted, logged, and told to the hooks. */
export class Connections {
  readonly #host: ConnectionsHost
  readonly #handlers: PacketHandlers
  readonly #all = new Set<Connection>()
  /** `onDisconnect` taps that are still at work. */
  readonly #disconnecting = new Set<Promise<unknown>>()

  constructor(host: ConnectionsHost, handlers: PacketHandlers) {
    this.#host = host
    this.#handlers = handlers
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
  connected(): void {
    const { counters } = this.#host
    counters.connected += 1
    if (counters.connected > counters.connectedMax) counters.connectedMax = counters.connected
  }

  /** A connection has ended: its session is parked or ended, its will sent or kept, everybody told. */
  ended(connection: Connection, reason: DisconnectReason, wasConnected: boolean, publishWill: boolean): void {
    const { counters, hooks } = this.#host
    const { session } = connection
    if (wasConnected) counters.connected -= 1
    if (session !== null && session.client === connection) this.#host.leave(session, connection, publishWill && wasConnected)
    if (connection.onConnectBegan) {
      const told = hooks.onDisconnect.promise(connection, reason).finally(() => this.#disconnecting.delete(told))
      this.#disconnecting.add(told)
    }
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
