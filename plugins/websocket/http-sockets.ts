import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Broker } from '../../core/broker.ts'
import type { ReasonCode } from '../../core/reason.ts'
import type { Refusal } from '../../core/refusals.ts'
import { LineThrottle } from '../kit/line-throttle.ts'
import type { ProxiedPeer } from '../kit/listening/proxies.ts'
import type { HttpRoutes } from '../kit/services/http-routes.ts'
import type { WebSocketConnection } from './websocket-connection.ts'

// Requests on one connection that are answered while no plugin serves anything: a client of MQTT has one.
const requestsMax = 8
// For so long nobody has to make room: many clients that come at once with TLS need some of it.
const graceMs = 2000

/** What they depend on. */
export interface HttpSocketsOptions<T> {
  readonly broker: Broker
  readonly routes: HttpRoutes
  /** `websocket.httpConnectionsMax`. */
  readonly max: number
  /** How lines call the listener. */
  readonly at: string
  /** The listener is a Unix socket or a named pipe. */
  readonly atPath: boolean
  make(socket: Socket, peer: ProxiedPeer | null): T
}

interface Open<T> {
  readonly socket: Socket
  readonly transport: T
  readonly since: number
}

/**
 * Connections that have not become WebSockets. Each counts for the limits of connections from the moment that it is accepted, before any TLS handshake, and all
 * of them have a bound of their own, so that those who ask for nothing do not keep out those who come for MQTT.
 */
export class HttpSockets<T extends WebSocketConnection> {
  readonly #options: HttpSocketsOptions<T>
  readonly #lines: LineThrottle
  // By address and port, because of a TLS connection only its encrypted half is seen here. In the order in which they came.
  readonly #open: Map<Key, Open<T>>
  readonly #keys: WeakMap<T, Key>

  constructor(options: HttpSocketsOptions<T>) {
    this.#options = options
    this.#lines = new LineThrottle(options.broker.clock, { everyMs: 10_000 })
    this.#open = new Map()
    this.#keys = new WeakMap()
  }

  /** A socket was accepted. `peer`: the client behind a trusted proxy; `isForwarded`: who that is comes with the request, and `onAccept` is asked then. */
  accept(socket: Socket, server: Server, peer: ProxiedPeer | null, isForwarded: boolean): void {
    const { broker, routes, max, make } = this.#options
    const { counters, hooks } = broker
    server.maxRequestsPerSocket = routes.used ? 0 : requestsMax
    // It has gone already.
    if (socket.destroyed || (socket.remoteAddress === undefined && !this.#options.atPath)) return void socket.destroy()
    const key = keyOf(socket)
    const before = this.#open.get(key)
    // Nobody has two connections from one port: the end of the first is still to be heard of.
    if (before !== undefined) this.#closed(key, before)
    if (this.#open.size >= max && !this.#makeRoom(socket)) return
    const transport = make(socket, peer)
    this.#keys.set(transport, key)
    if (isForwarded) {
      transport.acceptedAs = undefined
      return this.#add(key, socket, transport)
    }
    const refusal = hooks.onAccept.call(transport) as ReasonCode | Refusal | false | undefined
    if (refusal === false) {
      counters.connectionsRefused += 1
      hooks.onClosed.call(transport)
      socket.destroy()
      return
    }
    transport.acceptedAs = refusal ?? null
    this.#add(key, socket, transport)
  }

  #add(key: Key, socket: Socket, transport: T): void {
    const open = { socket, transport, since: this.#options.broker.clock.now() }
    this.#open.set(key, open)
    socket.on('close', () => this.#closed(key, open))
  }

  /** The transport of a connection that asks to become a WebSocket; `undefined`: it is closed already. */
  find(socket: Socket): T | undefined {
    return this.#open.get(keyOf(socket))?.transport
  }

  /** Hands a connection to the broker, which may take it; `onClosed` is called where it does not. Returns whom to tell of its bytes. */
  handOver(transport: T): ReturnType<Broker['accept']> {
    const { broker } = this.#options
    this.#open.delete(this.#keys.get(transport)!)
    const wasAsked = transport.acceptedAs !== undefined
    const events = broker.accept(transport)
    if (events === null && wasAsked) broker.hooks.onClosed.call(transport)
    return events
  }

  #closed(key: Key, open: Open<T>): void {
    if (this.#open.get(key) !== open) return
    this.#open.delete(key)
    if (open.transport.acceptedAs !== undefined) this.#options.broker.hooks.onClosed.call(open.transport)
  }

  #makeRoom(newcomer: Socket): boolean {
    const { broker, max, at } = this.#options
    broker.counters.limited.httpConnections += 1
    const [key, oldest] = this.#open.entries().next().value!
    const isLate = broker.clock.now() - oldest.since >= graceMs
    const { remoteAddress: address } = isLate ? oldest.socket : newcomer
    const times = this.#lines.pass('')
    if (times > 0)
      broker.log.warn(
        { address, times },
        `${at}.httpConnectionsMax: ${max} connections are no WebSocket yet; ${isLate ? 'the oldest makes room' : 'a new one is closed'}`,
      )
    if (!isLate) {
      broker.counters.connectionsRefused += 1
      newcomer.destroy()
      return false
    }
    this.#closed(key, oldest)
    oldest.socket.destroy()
    return true
  }
}

// A Unix socket has no address, and no TLS lies over it.
type Key = string | Socket

function keyOf(socket: Socket): Key {
  const { remoteAddress, remotePort } = socket
  return remoteAddress === undefined ? socket : `${remoteAddress} ${remotePort}`
}
