import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { PeerCertificate, Proxied, Seats, Transport, TransportEvents } from '../../core/connection/transport.ts'
import type { ProxiedPeer } from '../kit/listening/proxies.ts'
import { transportOver } from '../kit/transports/open-transport.ts'
import type { SocketListener } from './socket-listener.ts'

/**
 * A connection that begins with a TLS handshake. The broker has it from its first moment, so that the time to CONNECT, `onAccept`
 * and the listener's places are about handshakes too, which cost more than all that comes later.
 */
export class SecureTransport implements Transport, TransportEvents {
  readonly protocol = 'tls'
  readonly listener: string
  readonly remoteAddress: string
  readonly remotePort: number
  readonly allowAnonymous: boolean | undefined
  readonly seats: Seats
  peerCertificate: PeerCertificate | undefined
  pskIdentity: string | undefined
  username: string | undefined
  readonly proxied: Proxied | undefined
  readonly #raw: Socket
  readonly #handles: boolean
  #events: TransportEvents | null
  #error: Error | undefined
  #inner: Transport | null

  constructor(raw: Socket, { name, seats, allowAnonymous, handles }: SocketListener, peer: ProxiedPeer | null) {
    this.listener = name
    this.remoteAddress = peer?.remoteAddress ?? raw.remoteAddress ?? ''
    this.remotePort = peer?.remotePort ?? raw.remotePort ?? 0
    this.allowAnonymous = allowAnonymous
    this.seats = seats
    this.peerCertificate = undefined
    this.pskIdentity = undefined
    this.username = undefined
    this.proxied = peer?.proxied
    this.#raw = raw
    this.#handles = handles
    this.#events = null
    this.#error = undefined
    this.#inner = null
  }

  /** From here on the broker is told of the connection's end, with or without a handshake. */
  start(events: TransportEvents): void {
    this.#events = events
    this.#raw.on('error', error => this.failed(error))
    this.#raw.on('close', () => this.#events?.onClose(this.#error))
  }

  /** The handshake is done: what comes now is MQTT. */
  secured(socket: TLSSocket): void {
    const { listener, seats, allowAnonymous, protocol } = this
    const { transport, start } = transportOver(socket, {
      protocol,
      listener,
      seats,
      allowAnonymous,
      encrypts: true,
      handles: this.#handles,
    })
    this.#inner = transport
    start(this)
  }

  /** Why it is about to close. */
  failed(error: Error): void {
    this.#error ??= error
  }

  onData(chunk: Buffer, start: number, end: number): void {
    this.#events?.onData(chunk, start, end)
  }

  onDrain(): void {
    this.#events?.onDrain()
  }

  /** The raw socket closes behind it, and says so. */
  onClose(error: Error | undefined): void {
    if (error !== undefined) this.failed(error)
  }

  write(bytes: Buffer): boolean {
    return this.#inner === null || this.#inner.write(bytes)
  }

  writeMany(buffers: readonly Buffer[]): boolean {
    return this.#inner === null || this.#inner.writeMany(buffers)
  }

  get bufferedBytes(): number {
    return this.#inner === null ? 0 : this.#inner.bufferedBytes
  }

  pause(): void {
    this.#inner?.pause()
  }

  resume(): void {
    this.#inner?.resume()
  }

  end(): void {
    if (this.#inner !== null) this.#inner.end()
    else this.#raw.destroy()
  }

  destroy(): void {
    if (this.#inner !== null) this.#inner.destroy()
    else this.#raw.destroy()
  }
}
