import type { RawData, WebSocket } from 'ws'
import type { PeerCertificate, Seats, Transport, TransportEvents } from '../../core/connection/transport.ts'
import { CloseCode } from './frame-reader.ts'

/** What a connection by WebSocket is besides its bytes. */
export interface WebSocketOptions {
  readonly secure: boolean
  readonly remoteAddress: string
  readonly remotePort: number
  readonly seats: Seats
  readonly allowAnonymous: boolean | undefined
  readonly peerCertificate: PeerCertificate | undefined
  readonly username: string | undefined
}

// A client that asks for more pongs than it reads gets none until it has read, and then the last.
export const pongBytesMax = 16_384

/** One WebSocket of the package `ws`, for listeners that compress. It collects each message before it is read. */
export class CompressedTransport implements Transport {
  readonly protocol: string
  readonly listener = 'websocket'
  readonly remoteAddress: string
  readonly remotePort: number
  readonly seats: Seats
  readonly allowAnonymous: boolean | undefined
  readonly peerCertificate: PeerCertificate | undefined
  readonly username: string | undefined
  readonly #webSocket: WebSocket
  #events: TransportEvents | null
  readonly #sent: () => void
  #unanswered: Buffer | null

  constructor(webSocket: WebSocket, options: WebSocketOptions) {
    this.protocol = options.secure ? 'wss' : 'ws'
    this.remoteAddress = options.remoteAddress
    this.remotePort = options.remotePort
    this.seats = options.seats
    this.allowAnonymous = options.allowAnonymous
    this.peerCertificate = options.peerCertificate
    this.username = options.username
    this.#webSocket = webSocket
    this.#events = null
    this.#unanswered = null
    this.#sent = () => {
      if (this.#webSocket.bufferedAmount > 0) return
      const ping = this.#unanswered
      this.#unanswered = null
      if (ping !== null) this.#webSocket.pong(ping)
      this.#events?.onDrain()
    }
  }

  /** Connects the WebSocket's events with the broker. */
  start(events: TransportEvents): void {
    this.#events = events
    const webSocket = this.#webSocket
    webSocket.on('message', (bytes, isBinary) => this.#onMessage(bytes, isBinary))
    webSocket.on('ping', bytes => {
      if (webSocket.bufferedAmount < pongBytesMax) webSocket.pong(bytes)
      else this.#unanswered = bytes
    })
    // What breaks WebSocket's own rules has been answered with a close frame; for MQTT the connection has ended.
    webSocket.on('error', error => this.#closed(error))
    webSocket.on('close', () => this.#closed(undefined))
  }

  #onMessage(bytes: RawData, isBinary: boolean): void {
    if (isBinary) {
      this.#events?.onData(bytes as Buffer, 0, (bytes as Buffer).length)
      return
    }
    this.#webSocket.close(CloseCode.unsupportedData, 'MQTT is binary')
    this.#closed(new Error('a text message, where MQTT is binary')) // [MQTT-6.0.0-1]
  }

  #closed(error: Error | undefined): void {
    const events = this.#events
    this.#events = null
    events?.onClose(error)
  }

  write(bytes: Buffer): boolean {
    this.#webSocket.send(bytes, this.#sent)
    return false
  }

  writeMany(buffers: readonly Buffer[]): boolean {
    return this.write(Buffer.concat(buffers))
  }

  get bufferedBytes(): number {
    return this.#webSocket.bufferedAmount
  }

  pause(): void {
    this.#webSocket.pause()
  }

  resume(): void {
    this.#webSocket.resume()
  }

  end(): void {
    this.#webSocket.close(CloseCode.normal)
  }

  destroy(): void {
    this.#webSocket.terminate()
  }
}
