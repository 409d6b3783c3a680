import type { Socket } from 'node:net'
import type { PeerCertificate, Proxied, Seats, Transport, TransportEvents, TransportRequest } from '../../core/connection/transport.ts'
import type { ReasonCode } from '../../core/reason.ts'
import type { Refusal } from '../../core/refusals.ts'
import type { ProxiedPeer } from '../kit/listening/proxies.ts'

/** What all connections of a listener have in common, besides their bytes. */
export interface WebSocketOptions {
  /** What options call the listener that hold for some listeners only. */
  readonly name: string
  readonly secure: boolean
  readonly seats: Seats
  readonly allowAnonymous: boolean | undefined
  /** The path of the Unix socket or named pipe, which stands for the address; `undefined`: clients come by TCP. */
  readonly path?: string | undefined
}

// A client that asks for more pongs than it reads gets none until it has read, and then the last.
const pongBytesMax = 16_384

/**
 * A connection from the moment that it is accepted, when it speaks HTTP and nothing of it is read or written here, over the moment when it has become a WebSocket.
 * What both kinds of WebSocket have in common. There are two, because the package `ws` costs 1.6 to 2 times the CPU of a message: 6.0 µs for 3.4 at
 * 50 pairs, QoS 0, 64 B, window 20; 10.8 for 6.7 at QoS 1; 123 for 62 at 16 KiB (medians of five alternating rounds, two busy cores). So
 * `FrameTransport` reads and writes frames itself, and `CompressedTransport` leaves them to `ws`, where a listener compresses.
 */
export abstract class WebSocketConnection implements Transport {
  readonly protocol: string
  readonly listener: string
  remoteAddress: string
  remotePort: number
  readonly seats: Seats
  readonly allowAnonymous: boolean | undefined
  /** `undefined`: nobody has been asked yet, as the client's address comes with the request. */
  acceptedAs: ReasonCode | Refusal | null | undefined
  /** Known when it becomes a WebSocket. */
  peerCertificate: PeerCertificate | undefined
  username: string | undefined
  pskIdentity: string | undefined
  proxied: Proxied | undefined
  request: TransportRequest | undefined
  protected events: TransportEvents | null
  /** What was accepted: below TLS, where there is any. */
  protected readonly accepted: Socket
  // The last ping that could not be answered yet; those before it need no answer (RFC 6455, 5.5.3).
  #unanswered: Buffer | null

  constructor(accepted: Socket, options: WebSocketOptions, peer: ProxiedPeer | null) {
    this.protocol = options.secure ? 'wss' : 'ws'
    this.listener = options.name
    this.remoteAddress = peer?.remoteAddress ?? accepted.remoteAddress ?? options.path ?? ''
    this.remotePort = peer?.remotePort ?? accepted.remotePort ?? 0
    this.seats = options.seats
    this.allowAnonymous = options.allowAnonymous
    this.acceptedAs = null
    this.peerCertificate = peer?.peerCertificate
    this.username = undefined
    this.pskIdentity = undefined
    this.proxied = peer?.proxied
    this.request = undefined
    this.events = null
    this.accepted = accepted
    this.#unanswered = null
  }

  protected abstract pong(payload: Buffer): void

  protected answerPing(payload: Buffer): void {
    if (this.bufferedBytes < pongBytesMax) this.pong(payload)
    else this.#unanswered = payload
  }

  /** What was written has gone. */
  protected drained(): void {
    const ping = this.#unanswered
    if (ping !== null) {
      this.#unanswered = null
      this.pong(ping)
    }
    this.events?.onDrain()
  }

  /** For MQTT the connection has ended, whatever WebSocket still has to say. Only the first call counts. */
  protected closed(error: Error | undefined): void {
    const { events } = this
    this.events = null
    events?.onClose(error)
  }

  abstract readonly bufferedBytes: number
  abstract write(bytes: Buffer): boolean
  abstract writeMany(buffers: readonly Buffer[]): boolean
  abstract pause(): void
  abstract resume(): void
  abstract end(): void
  abstract destroy(): void
}
