import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { SocketWriter } from '../../core/connection/socket-writer.ts'
import type { PeerCertificate, Transport, TransportEvents } from '../../core/connection/transport.ts'
import type { Seats } from '../../core/listening/seats.ts'
import type { Door } from './server.ts'

/**
 * A connection that begins with a TLS handshake. The broker has it from its first moment, so that the time to CONNECT, `onAccept`
 * and the listener's places are about handshakes too, which cost more than all that comes later.
 */
export class SecureTransport implements Transport {
  readonly protocol = 'tls'
  readonly listener = 'socket'
  readonly remoteAddress: string
  readonly remotePort: number
  readonly allowAnonymous: boolean | undefined
  readonly seats: Seats
  peerCertificate: PeerCertificate | undefined
  username: string | undefined
  readonly #raw: Socket
  #secure: TLSSocket | null
  #events: TransportEvents | null
  #error: Error | undefined
  #writer: SocketWriter | null

  constructor(raw: Socket, { seats, allowAnonymous }: Door) {
    this.remoteAddress = raw.remoteAddress ?? ''
    this.remotePort = raw.remotePort ?? 0
    this.allowAnonymous = allowAnonymous
    this.seats = seats
    this.peerCertificate = undefined
    this.username = undefined
    this.#raw = raw
    this.#secure = null
    this.#events = null
    this.#error = undefined
    this.#writer = null
  }

  /** From here on the broker is told of the connection's end, with or without a handshake. */
  start(events: TransportEvents): void {
    this.#events = events
    this.#raw.on('error', error => this.failed(error))
    this.#raw.on('close', () => this.#events?.onClose(this.#error))
  }

  /** The handshake is done: what comes now is MQTT. */
  secured(socket: TLSSocket): void {
    this.#secure = socket
    this.#writer = new SocketWriter(socket, true, () => this.#events?.onDrain())
    socket.on('data', chunk => this.#events?.onData(chunk, 0, chunk.length))
    socket.on('end', () => socket.destroy())
    socket.on('error', error => this.failed(error))
  }

  /** Why it is about to close. */
  failed(error: Error): void {
    this.#error ??= error
  }

  write(bytes: Buffer): boolean {
    return this.#writer === null || this.#writer.write(bytes)
  }

  writeMany(buffers: readonly Buffer[]): boolean {
    return this.#writer === null || this.#writer.writeMany(buffers)
  }

  get bufferedBytes(): number {
    return this.#writer === null ? 0 : this.#writer.bufferedBytes
  }

  pause(): void {
    this.#secure?.pause()
  }

  resume(): void {
    this.#secure?.resume()
  }

  end(): void {
    if (this.#secure !== null) this.#secure.end()
    else this.#raw.destroy()
  }

  destroy(): void {
    if (this.#secure !== null) this.#secure.destroy()
    else this.#raw.destroy()
  }
}
