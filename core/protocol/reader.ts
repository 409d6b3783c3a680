import { MqttError } from '../errors.ts'
import { ReasonCode } from '../reason.ts'
import { checkUtf8, readUtf8 } from './utf8.ts'

export function malformed(message: string): MqttError {
  return new MqttError(ReasonCode.MalformedPacket, message)
}

export function protocolError(message: string): MqttError {
  return new MqttError(ReasonCode.ProtocolError, message)
}

/** Reads the fields of one packet's body, never beyond its end. One object for each decoder, set anew for each packet. */
export class Reader {
  bytes: Buffer
  at = 0
  end = 0
  /** User properties that a packet may hold. */
  userPropertiesMax = Number.POSITIVE_INFINITY

  constructor() {
    this.bytes = empty
  }

  reset(bytes: Buffer, at: number, end: number, userPropertiesMax = Number.POSITIVE_INFINITY): void {
    this.bytes = bytes
    this.at = at
    this.end = end
    this.userPropertiesMax = userPropertiesMax
  }

  get left(): number {
    return this.end - this.at
  }

  byte(): number {
    if (this.at >= this.end) throw malformed('the packet ends in the middle of a field')
    return this.bytes[this.at++]!
  }

  twoBytes(): number {
    const { at } = this
    if (at + 2 > this.end) throw malformed('the packet ends in the middle of a field')
    this.at = at + 2
    return (this.bytes[at]! << 8) | this.bytes[at + 1]!
  }

  fourBytes(): number {
    return this.twoBytes() * 65_536 + this.twoBytes()
  }

  /** A variable byte integer, in as few bytes as it takes [MQTT-1.5.5-1]. */
  variable(): number {
    let value = 0
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = this.byte()
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) {
        if (byte === 0 && shift > 0) throw malformed('a variable byte integer has more bytes than it needs')
        return value
      }
    }
    throw malformed('a variable byte integer runs past four bytes')
  }

  packetId(): number {
    const id = this.twoBytes()
    if (id === 0) throw protocolError('packet identifier 0') // [MQTT-2.2.1-3]
    return id
  }

  text(): string {
    const start = this.#textStart()
    return readUtf8(this.bytes, start, this.at)
  }

  /** Passes over a text that is as it must be; returns how many UTF-16 code units it has. */
  passText(): number {
    const start = this.#textStart()
    return checkUtf8(this.bytes, start, this.at)
  }

  #textStart(): number {
    const length = this.twoBytes()
    const start = this.at
    if (start + length > this.end) throw malformed('the packet ends in the middle of a string')
    this.at = start + length
    return start
  }

  /** A copy: the chunk is overwritten when the packet has been handled, and what stands here is short and outlives it. */
  binary(): Buffer {
    const length = this.twoBytes()
    const start = this.at
    if (start + length > this.end) throw malformed('the packet ends in the middle of its binary data')
    this.at = start + length
    return Buffer.from(this.bytes.subarray(start, this.at))
  }

  finish(): void {
    if (this.at !== this.end) throw malformed('the packet has bytes behind its end')
  }
}

const empty = Buffer.alloc(0)
