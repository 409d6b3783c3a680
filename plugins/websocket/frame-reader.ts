import { unmask } from './mask.ts'

/** What a frame reader finds. `onBytes` and `onControl` may end the reader's life: it stops when `ended` is set. */
export interface FrameSink {
  readonly ended: boolean
  /** Bytes of a binary message, unmasked; they may be overwritten when the call returns. */
  onBytes(chunk: Buffer, start: number, end: number): void
  /** A close (8), ping (9) or pong (10). */
  onControl(opcode: number, payload: Buffer): void
  /** The client broke the rules: the connection is to be closed with this code. */
  onViolation(code: number, text: string): void
}

/** The codes of RFC 6455 for closing, as far as a broker has reason for them. */
export const CloseCode = { normal: 1000, protocolError: 1002, unsupportedData: 1003, tooLarge: 1009 } as const

const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const
const headerMax = 14
const controlMax = 125

/**
 * Reads the frames of one client (RFC 6455). Of a binary message each piece is handed on as it comes: nothing is collected, however
 * large a frame says it is, since MQTT finds its own packets in the stream [MQTT-6.0.0-2].
 */
export class FrameReader {
  readonly #sink: FrameSink
  readonly #payloadMax: number
  // A header that came in parts.
  readonly #header: Buffer
  #headerBytes: number
  #left: number
  #opcode: number
  #key: number
  #maskAt: number
  #inFrame: boolean
  #inMessage: boolean
  #final: boolean
  #messageBytes: number
  #control: Buffer | null

  constructor(sink: FrameSink, payloadMax: number) {
    this.#sink = sink
    this.#payloadMax = payloadMax
    this.#header = Buffer.allocUnsafe(headerMax)
    this.#headerBytes = 0
    this.#left = 0
    this.#opcode = 0
    this.#key = 0
    this.#maskAt = 0
    this.#inFrame = false
    this.#inMessage = false
    this.#final = false
    this.#messageBytes = 0
    this.#control = null
  }

  feed(chunk: Buffer, start: number, end: number): void {
    let at = start
    while (at < end && !this.#sink.ended) {
      if (!this.#inFrame) {
        at = this.#readHeader(chunk, at, end)
        if (!this.#inFrame) continue
      }
      at = this.#readPayload(chunk, at, end)
    }
  }

  // Returns where the header ends, or `end` where it is not all there yet.
  #readHeader(chunk: Buffer, at: number, end: number): number {
    if (this.#headerBytes === 0 && end - at >= headerMax) {
      const size = headerSize(chunk[at + 1]!)
      this.#begin(chunk, at)
      return at + size
    }
    const header = this.#header
    while (at < end) {
      header[this.#headerBytes++] = chunk[at++]!
      if (this.#headerBytes >= 2 && this.#headerBytes === headerSize(header[1]!)) {
        this.#headerBytes = 0
        this.#begin(header, 0)
        break
      }
    }
    return at
  }

  #begin(header: Buffer, at: number): void {
    const first = header[at]!
    const second = header[at + 1]!
    const final = (first & 0x80) !== 0
    const opcode = first & 0x0f
    const wrong = this.#wrong(first, second, opcode, final)
    if (wrong !== null) return this.#sink.onViolation(opcode === opcodes.text ? CloseCode.unsupportedData : CloseCode.protocolError, wrong)
    let size = second & 0x7f
    let maskFrom = at + 2
    if (size === 126) {
      size = header.readUInt16BE(maskFrom)
      maskFrom += 2
    } else if (size === 127) {
      size = header.readUInt32BE(maskFrom) * 2 ** 32 + header.readUInt32BE(maskFrom + 4)
      maskFrom += 8
    }
    if (opcode < opcodes.close) {
      if (opcode !== opcodes.continuation) this.#messageBytes = 0
      this.#messageBytes += size
      if (this.#messageBytes > this.#payloadMax) return this.#sink.onViolation(CloseCode.tooLarge, 'a message above maxPayload')
      this.#inMessage = true
      this.#final = final
    }
    this.#key = header.readInt32LE(maskFrom)
    this.#maskAt = 0
    this.#opcode = opcode
    this.#left = size
    this.#control = opcode >= opcodes.close ? Buffer.alloc(size) : null
    this.#inFrame = true
    if (size === 0) this.#endFrame()
  }

  #wrong(first: number, second: number, opcode: number, final: boolean): string | null {
    if ((first & 0x70) !== 0) return 'a reserved bit is set'
    if ((second & 0x80) === 0) return 'a frame is not masked'
    if (opcode === opcodes.close || opcode === opcodes.ping || opcode === opcodes.pong) {
      return final && (second & 0x7f) <= controlMax ? null : 'a control frame is cut up or too long'
    }
    if (opcode === opcodes.text) return 'a text message, where MQTT is binary' // [MQTT-6.0.0-1]
    if (opcode !== opcodes.binary && opcode !== opcodes.continuation) return 'an unknown kind of frame'
    if ((opcode === opcodes.continuation) !== this.#inMessage) return 'fragments out of order'
    return null
  }

  #readPayload(chunk: Buffer, at: number, end: number): number {
    const size = Math.min(end - at, this.#left)
    const next = at + size
    unmask(chunk, at, next, this.#key, this.#maskAt)
    this.#maskAt = (this.#maskAt + size) & 3
    this.#left -= size
    if (this.#control !== null) chunk.copy(this.#control, this.#control.length - this.#left - size, at, next)
    else this.#sink.onBytes(chunk, at, next)
    if (this.#left === 0) this.#endFrame()
    return next
  }

  #endFrame(): void {
    this.#inFrame = false
    const control = this.#control
    if (control !== null) {
      this.#control = null
      if (!this.#sink.ended) this.#sink.onControl(this.#opcode, control)
    } else if (this.#final) this.#inMessage = false
  }
}

function headerSize(second: number): number {
  const size = second & 0x7f
  return 2 + (size === 126 ? 2 : size === 127 ? 8 : 0) + ((second & 0x80) === 0 ? 0 : 4)
}
