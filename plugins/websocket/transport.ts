import type { Socket } from 'node:net'
import type { RawData, WebSocket } from 'ws'
import { SocketWriter } from '../../core/connection/socket-writer.ts'
import type { PeerCertificate, Transport, TransportEvents } from '../../core/connection/transport.ts'
import type { Seats } from '../../core/listening/seats.ts'

/** What a connection is made of besides its WebSocket. */
export interface WebSocketOptions {
  readonly socket: Socket
  readonly secure: boolean
  readonly remoteAddress: string
  readonly remotePort: number
  readonly seats: Seats
  readonly allowAnonymous: boolean | undefined
  readonly peerCertificate: PeerCertificate | undefined
  readonly username: string | undefined
}

// What is put together with its header up to this goes out in one write; more goes out as it lies, in one writev.
const copyMax = 65_536
const headerMax = 10
// A client that asks for more pongs than it reads gets none until it has read.
const pongBytesMax = 16_384
const unsupportedData = 1003
const normalClosure = 1000

// Header and bytes of a frame meet here, in the small one where they fit: a socket that does not take all of it keeps it, and there
// is a new one then.
let small = Buffer.allocUnsafeSlow(4096)
let large = Buffer.allocUnsafeSlow(copyMax + headerMax)

/** One WebSocket as a stream of bytes: each flush leaves as one binary message, and what comes in binary messages is one stream [MQTT-6.0.0-2]. */
export class WebSocketTransport implements Transport {
  readonly protocol: string
  readonly listener = 'websocket'
  readonly remoteAddress: string
  readonly remotePort: number
  readonly seats: Seats
  readonly allowAnonymous: boolean | undefined
  readonly peerCertificate: PeerCertificate | undefined
  readonly username: string | undefined
  readonly #webSocket: WebSocket
  readonly #writer: SocketWriter
  readonly #compresses: boolean
  #events: TransportEvents | null
  readonly #sent: () => void

  constructor(webSocket: WebSocket, options: WebSocketOptions) {
    const { socket, secure } = options
    this.protocol = secure ? 'wss' : 'ws'
    this.remoteAddress = options.remoteAddress
    this.remotePort = options.remotePort
    this.seats = options.seats
    this.allowAnonymous = options.allowAnonymous
    this.peerCertificate = options.peerCertificate
    this.username = options.username
    this.#webSocket = webSocket
    this.#writer = new SocketWriter(socket, secure, () => this.#events?.onDrain())
    this.#compresses = webSocket.extensions !== ''
    this.#events = null
    this.#sent = () => {
      if (this.#webSocket.bufferedAmount === 0) this.#events?.onDrain()
    }
  }

  /** Connects the WebSocket's events with the broker. */
  start(events: TransportEvents): void {
    this.#events = events
    const webSocket = this.#webSocket
    webSocket.on('message', (bytes, isBinary) => this.#onMessage(bytes, isBinary))
    webSocket.on('ping', bytes => {
      if (webSocket.bufferedAmount < pongBytesMax) webSocket.pong(bytes)
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
    this.#webSocket.close(unsupportedData, 'MQTT is binary')
    this.#closed(new Error('a text message, where MQTT is binary')) // [MQTT-6.0.0-1]
  }

  #closed(error: Error | undefined): void {
    const events = this.#events
    this.#events = null
    events?.onClose(error)
  }

  write(bytes: Buffer): boolean {
    if (this.#compresses) return this.#send(bytes)
    if (bytes.length > copyMax) return this.#writer.writeMany([header(bytes.length), bytes])
    const frame = bytes.length + headerMax <= small.length ? small : large
    const start = writeHeader(frame, bytes.length)
    frame.set(bytes, start)
    return this.#writeCopy(frame, start + bytes.length)
  }

  writeMany(buffers: readonly Buffer[]): boolean {
    if (this.#compresses) return this.#send(Buffer.concat(buffers))
    let size = 0
    for (let i = 0; i < buffers.length; i++) size += buffers[i]!.length
    if (size > copyMax) return this.#writer.writeMany([header(size), ...buffers])
    const frame = size + headerMax <= small.length ? small : large
    let at = writeHeader(frame, size)
    for (let i = 0; i < buffers.length; i++) {
      frame.set(buffers[i]!, at)
      at += buffers[i]!.length
    }
    return this.#writeCopy(frame, at)
  }

  // The caller's bytes were copied, so they are free whatever becomes of the copy.
  #writeCopy(frame: Buffer, end: number): boolean {
    if (this.#writer.write(frame.subarray(0, end))) return true
    if (frame === small) small = Buffer.allocUnsafeSlow(small.length)
    else large = Buffer.allocUnsafeSlow(large.length)
    return true
  }

  #send(bytes: Buffer): boolean {
    this.#webSocket.send(bytes, this.#sent)
    return false
  }

  get bufferedBytes(): number {
    return this.#compresses ? this.#webSocket.bufferedAmount : this.#writer.bufferedBytes
  }

  pause(): void {
    this.#webSocket.pause()
  }

  resume(): void {
    this.#webSocket.resume()
  }

  end(): void {
    this.#webSocket.close(normalClosure)
  }

  destroy(): void {
    this.#webSocket.terminate()
  }
}

function header(size: number): Buffer {
  const bytes = Buffer.allocUnsafe(headerMax)
  return bytes.subarray(0, writeHeader(bytes, size))
}

/** A final binary frame, not masked, as a server sends it. Returns where its bytes begin. */
function writeHeader(into: Buffer, size: number): number {
  into[0] = 0x82
  if (size < 126) {
    into[1] = size
    return 2
  }
  if (size < 65_536) {
    into[1] = 126
    into[2] = size >>> 8
    into[3] = size & 0xff
    return 4
  }
  into[1] = 127
  into.writeUInt32BE(Math.floor(size / 2 ** 32), 2)
  into.writeUInt32BE(size >>> 0, 6)
  return 10
}
