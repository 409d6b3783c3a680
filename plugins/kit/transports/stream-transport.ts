import type { Duplex } from 'node:stream'
import type { PeerCertificate, Proxied, Seats, Transport, TransportEvents } from '../../../core/connection/transport.ts'

/** What a transport says of itself. */
export interface StreamTransportOptions {
  /** What is spoken: `tcp`, `tls`, `ws`, `wss`. */
  protocol: string
  /** The listener's name, for logs and settings: `socket`. */
  listener: string
  /** The client's address. */
  remoteAddress?: string | undefined
  /** The client's port; 0 where there is none. */
  remotePort?: number | undefined
  /** The stream copies what it is given before `write` returns, as a socket whose bytes the kernel took does. */
  takesBytes?: boolean
  /** The listener's places, one for each connection; `undefined`: there is no limit. */
  seats?: Seats
  /** Whether clients on whom no plugin has an opinion are let in here; `undefined`: as `allowAnonymous` at the root says. */
  allowAnonymous?: boolean | undefined
  /** What a trusted proxy said of the client. */
  proxied?: Proxied | undefined
  /** What the client's certificate says. */
  peerCertificate?: PeerCertificate | undefined
}

/** Any Node stream as a transport: a socket, a TLS socket, or a pair in memory. */
export class StreamTransport implements Transport {
  readonly protocol: string
  readonly remoteAddress: string
  readonly remotePort: number
  readonly listener: string
  readonly seats: Seats | undefined
  readonly allowAnonymous: boolean | undefined
  readonly proxied: Proxied | undefined
  readonly peerCertificate: PeerCertificate | undefined
  readonly #stream: Duplex
  readonly #takesBytes: boolean

  constructor(stream: Duplex, options: StreamTransportOptions) {
    this.protocol = options.protocol
    this.listener = options.listener
    this.seats = options.seats
    this.allowAnonymous = options.allowAnonymous
    this.remoteAddress = options.remoteAddress ?? ''
    this.remotePort = options.remotePort ?? 0
    this.proxied = options.proxied
    this.peerCertificate = options.peerCertificate
    this.#stream = stream
    this.#takesBytes = options.takesBytes ?? false
  }

  /** Connects the stream's events with the broker. Shared functions on the stream, no closure for each event. */
  listen(events: TransportEvents): void {
    const stream = this.#stream as BoundStream
    stream[eventsKey] = events
    stream[errorKey] = undefined
    stream.on('data', onData)
    stream.on('drain', onDrain)
    stream.on('end', onEnd)
    stream.on('error', onError)
    stream.on('close', onClose)
  }

  write(bytes: Buffer): boolean {
    this.#stream.write(bytes)
    return this.#taken()
  }

  writeMany(buffers: readonly Buffer[]): boolean {
    this.#stream.cork()
    for (let i = 0; i < buffers.length; i++) this.#stream.write(buffers[i])
    this.#stream.uncork()
    return this.#taken()
  }

  #taken(): boolean {
    const stream = this.#stream as BoundStream
    if (stream.writableLength === 0) return this.#takesBytes
    // Below its high-water mark a stream says no 'drain'; the callback of an empty write behind the rest stands in for it.
    if (!stream.writableNeedDrain && !stream.destroyed) stream.write(nothing, () => stream[eventsKey]?.onDrain())
    return false
  }

  get bufferedBytes(): number {
    return this.#stream.writableLength
  }

  pause(): void {
    this.#stream.pause()
  }

  resume(): void {
    this.#stream.resume()
  }

  end(): void {
    this.#stream.end()
  }

  destroy(): void {
    this.#stream.destroy()
  }
}

const nothing = Buffer.alloc(0)

const eventsKey = Symbol('events')
const errorKey = Symbol('error')

interface BoundStream extends Duplex {
  [eventsKey]?: TransportEvents
  [errorKey]: Error | undefined
}

function onData(this: BoundStream, chunk: Buffer): void {
  this[eventsKey]?.onData(chunk, 0, chunk.length)
}

function onDrain(this: BoundStream): void {
  this[eventsKey]?.onDrain()
}

function onEnd(this: BoundStream): void {
  this.destroy()
}

function onError(this: BoundStream, error: Error): void {
  this[errorKey] = error
}

function onClose(this: BoundStream): void {
  this[eventsKey]?.onClose(this[errorKey])
}
