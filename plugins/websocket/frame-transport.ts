import type { Socket } from 'node:net'
import type { Transport, TransportEvents } from '../../core/connection/transport.ts'
import type { ProxiedPeer } from '../kit/listening/proxies.ts'
import { CloseCode, FrameReader, type FrameSink } from './frame-reader.ts'
import { packetEnd, packetSize } from './packet-size.ts'
import { WebSocketConnection, type WebSocketOptions } from './websocket-connection.ts'

// What is put together with the headers of its frames up to this goes out in one write; more goes out in one writev.
const copyMax = 65_536
// There, pieces above this go out as they lie.
const pieceMax = 2048
const runBytes = 16_384
const headerMax = 10
const closeOpcode = 8
const pingOpcode = 9
const pongOpcode = 10

// The frames of a turn are put together here. A transport that does not take all of it keeps it, and there is a new one then.
const scratchMin = 4096
let scratch = Buffer.allocUnsafeSlow(scratchMin)

/**
 * One WebSocket as a stream of bytes. Each packet leaves as a binary message of its own, all messages of a turn in one write: the standard would
 * allow many packets in a message, but Paho's clients for C, C++ and Rust read one packet of each message and see the others only when more
 * comes. What comes in binary messages is one stream, wherever packets begin and end [MQTT-6.0.0-2]. The frames are read and written here, on
 * the handle of the socket.
 */
export class FrameTransport extends WebSocketConnection implements TransportEvents, FrameSink {
  /** Nothing that still comes matters. */
  ended: boolean
  // From when it is a WebSocket on.
  #inner: Transport | null
  readonly #reader: FrameReader

  constructor(accepted: Socket, payloadMax: number, options: WebSocketOptions, peer: ProxiedPeer | null = null) {
    super(accepted, options, peer)
    this.ended = false
    this.#inner = null
    this.#reader = new FrameReader(this, payloadMax)
  }

  /** It is a WebSocket now, whose bytes go by that transport. */
  over(inner: Transport): this {
    this.#inner = inner
    return this
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
    if (!this.ended) this.#inner!.write(control(pongOpcode, payload))
  }

  write(bytes: Buffer): boolean {
    const size = bytes.length
    if (size > copyMax) return this.#writeApart([bytes])
    if (packetEnd(bytes, 0, size) < size) {
      const start = makeRoom(size)
      scratch.set(bytes, start)
      return this.#writeScratch(framed(start, start + size))
    }
    makeRoom(size)
    const start = writeHeader(scratch, 0, size)
    scratch.set(bytes, start)
    return this.#writeScratch(start + size)
  }

  writeMany(buffers: readonly Buffer[]): boolean {
    let size = 0
    for (let i = 0; i < buffers.length; i++) size += buffers[i]!.length
    if (size > copyMax) return this.#writeApart(buffers)
    const start = makeRoom(size)
    let at = start
    for (let i = 0; i < buffers.length; i++) {
      scratch.set(buffers[i]!, at)
      at += buffers[i]!.length
    }
    return this.#writeScratch(framed(start, at))
  }

  // The caller's bytes were copied, so they are free whatever becomes of the copy.
  #writeScratch(end: number): true {
    if (!this.#inner!.write(scratch.subarray(0, end))) scratch = Buffer.allocUnsafeSlow(scratchMin)
    return true
  }

  /** Large pieces go out as they lie; the headers of frames, and what is small, are copied in between. */
  #writeApart(buffers: readonly Buffer[]): boolean {
    const out: Buffer[] = []
    let run = Buffer.allocUnsafe(runBytes)
    let runStart = 0
    let runEnd = 0
    const endRun = (): void => {
      if (runEnd > runStart) out.push(run.subarray(runStart, runEnd))
      runStart = runEnd
    }
    // Bytes of the present packet that are still to come.
    let left = 0
    for (const buffer of buffers) {
      for (let at = 0; at < buffer.length; ) {
        if (runEnd + headerMax + pieceMax > runBytes) {
          endRun()
          run = Buffer.allocUnsafe(runBytes)
          runStart = runEnd = 0
        }
        if (left === 0) {
          left = packetSize(buffer, at, buffer.length) || buffer.length - at
          runEnd = writeHeader(run, runEnd, left)
        }
        const next = Math.min(at + left, buffer.length)
        const piece = at === 0 && next === buffer.length ? buffer : buffer.subarray(at, next)
        if (piece.length > pieceMax) {
          endRun()
          out.push(piece)
        } else {
          run.set(piece, runEnd)
          runEnd += piece.length
        }
        left -= piece.length
        at = next
      }
    }
    endRun()
    return this.#inner!.writeMany(out)
  }

  get bufferedBytes(): number {
    return this.#inner?.bufferedBytes ?? 0
  }

  pause(): void {
    this.#inner?.pause()
  }

  resume(): void {
    this.#inner?.resume()
  }

  /** Says good-bye as WebSocket has it, then closes. The client's own good-bye is not waited for longer than its bytes are. */
  end(): void {
    if (!this.ended) this.#close(codeOf(CloseCode.normal))
  }

  #close(code: Buffer): void {
    if (this.#inner === null) return this.destroy()
    this.ended = true
    this.#inner.write(control(closeOpcode, code))
    this.#inner.end()
  }

  destroy(): void {
    this.ended = true
    if (this.#inner === null) this.accepted.destroy()
    else this.#inner.destroy()
  }
}

function codeOf(code: number): Buffer {
  return Buffer.from([code >>> 8, code & 0xff])
}

function control(opcode: number, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0x80 | opcode, payload.length]), payload])
}

/** Makes `scratch` large enough for packets of so many bytes, each with the header of its frame. Returns where to put them: at the end of it. */
function makeRoom(size: number): number {
  // No header is longer than its packet.
  const whole = size * 2 + headerMax
  if (scratch.length < whole) scratch = Buffer.allocUnsafeSlow(Math.max(whole, scratch.length * 2))
  return whole - size
}

/**
 * Makes a frame of each packet that lies in `scratch` from `start` to `end`; the frames begin at 0. Returns where they end. A move within one
 * buffer costs half of what a copy from another does.
 */
function framed(start: number, end: number): number {
  let at = 0
  for (let from = start; from < end; ) {
    const next = packetEnd(scratch, from, end)
    at = writeHeader(scratch, at, next - from)
    scratch.copyWithin(at, from, next)
    at += next - from
    from = next
  }
  return at
}

/** The header of a final binary frame, not masked, as a server sends it. Returns where its bytes begin. */
function writeHeader(into: Buffer, at: number, size: number): number {
  into[at] = 0x82
  if (size < 126) {
    into[at + 1] = size
    return at + 2
  }
  if (size < 65_536) {
    into[at + 1] = 126
    into[at + 2] = size >>> 8
    into[at + 3] = size & 0xff
    return at + 4
  }
  into[at + 1] = 127
  into.writeUInt32BE(Math.floor(size / 2 ** 32), at + 2)
  into.writeUInt32BE(size >>> 0, at + 6)
  return at + 10
}
