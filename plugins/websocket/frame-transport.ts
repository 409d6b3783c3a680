import type { Transport, TransportEvents } from '../../core/connection/transport.ts'
import { CloseCode, FrameReader, type FrameSink } from './frame-reader.ts'
import { WebSocketConnection, type WebSocketOptions } from './websocket-connection.ts'

// What is put together with its header up to this goes out in one write; more goes out as it lies, in one writev.
const copyMax = 65_536
const headerMax = 10
const closeOpcode = 8
const pingOpcode = 9
const pongOpcode = 10

// Header and bytes of a frame meet here, in the small one where they fit: a transport that does not take all of it keeps it, and there
// is a new one then.
let small = Buffer.allocUnsafeSlow(4096)
let large = Buffer.allocUnsafeSlow(copyMax + headerMax)

/**
 * One WebSocket as a stream of bytes: each flush leaves as one binary message, and what comes in binary messages is one stream, wherever
 * packets begin and end [MQTT-6.0.0-2]. The frames are read and written here, on the handle of the socket.
 */
export class FrameTransport extends WebSocketConnection implements TransportEvents, FrameSink {
  /** Nothing that still comes matters. */
  ended: boolean
  readonly #inner: Transport
  readonly #reader: FrameReader

  constructor(inner: Transport, payloadMax: number, options: WebSocketOptions) {
    super(options)
    this.ended = false
    this.#inner = inner
    this.#reader = new FrameReader(this, payloadMax)
  }

  /** Whom to tell; give this transport to the inner one then. */
  listen(events: TransportEvents): void {
    this.events = events
  }

  onData(chunk: Buffer, start: number, end: number): void {
    if (!this.ended) this.#reader.feed(chunk, start, end)
  }

  onDrain(): void {
    this.drained()
  }

  onClose(error: Error | undefined): void {
    this.ended = true
    this.closed(error)
  }

  onBytes(chunk: Buffer, start: number, end: number): void {
    this.events!.onData(chunk, start, end)
  }

  onControl(opcode: number, payload: Buffer): void {
    if (opcode === pingOpcode) this.answerPing(payload)
    else if (opcode === closeOpcode) {
      // The code comes back; of one byte no code can be made.
      const isWhole = payload.length !== 1
      this.#close(isWhole ? payload.subarray(0, 2) : codeOf(CloseCode.protocolError))
      this.onClose(undefined)
    }
  }

  onViolation(code: number, text: string): void {
    this.#close(codeOf(code))
    this.onClose(new Error(text))
  }

  protected pong(payload: Buffer): void {
    if (!this.ended) this.#inner.write(control(pongOpcode, payload))
  }

  write(bytes: Buffer): boolean {
    if (bytes.length > copyMax) return this.#inner.writeMany([header(bytes.length), bytes])
    const frame = bytes.length + headerMax <= small.length ? small : large
    const start = writeHeader(frame, bytes.length)
    frame.set(bytes, start)
    return this.#writeCopy(frame, start + bytes.length)
  }

  writeMany(buffers: readonly Buffer[]): boolean {
    let size = 0
    for (let i = 0; i < buffers.length; i++) size += buffers[i]!.length
    if (size > copyMax) return this.#inner.writeMany([header(size), ...buffers])
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
    if (this.#inner.write(frame.subarray(0, end))) return true
    if (frame === small) small = Buffer.allocUnsafeSlow(small.length)
    else large = Buffer.allocUnsafeSlow(large.length)
    return true
  }

  get bufferedBytes(): number {
    return this.#inner.bufferedBytes
  }

  pause(): void {
    this.#inner.pause()
  }

  resume(): void {
    this.#inner.resume()
  }

  /** Says good-bye as WebSocket has it, then closes. The client's own good-bye is not waited for longer than its bytes are. */
  end(): void {
    if (!this.ended) this.#close(codeOf(CloseCode.normal))
  }

  #close(code: Buffer): void {
    this.ended = true
    this.#inner.write(control(closeOpcode, code))
    this.#inner.end()
  }

  destroy(): void {
    this.ended = true
    this.#inner.destroy()
  }
}

function codeOf(code: number): Buffer {
  return Buffer.from([code >>> 8, code & 0xff])
}

function control(opcode: number, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0x80 | opcode, payload.length]), payload])
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
