import './buffer-methods.ts'
/** Writes fields into a buffer that grows. */
export class Writer {
  #bytes: Buffer
  #at = 0

  constructor(size = 256) {
    this.#bytes = Buffer.allocUnsafe(size)
  }

  get length(): number {
    return this.#at
  }

  byte(value: number): void {
    this.#reserve(1)
    this.#bytes[this.#at++] = value
  }

  twoBytes(value: number): void {
    this.#reserve(2)
    this.#bytes[this.#at++] = value >>> 8
    this.#bytes[this.#at++] = value & 0xff
  }

  fourBytes(value: number): void {
    this.#reserve(4)
    this.#at = this.#bytes.writeUInt32BE(value, this.#at)
  }

  variable(value: number): void {
    this.#reserve(4)
    this.#at = writeVariable(this.#bytes, this.#at, value)
  }

  text(value: string): void {
    const length = Buffer.byteLength(value)
    if (length > 65_535) throw new RangeError(`a string of ${length} bytes does not fit: MQTT allows 65,535 ("${value.slice(0, 32)}…")`)
    this.twoBytes(length)
    this.#reserve(length)
    this.#at += this.#bytes.utf8Write(value, this.#at)
  }

  binary(value: Uint8Array): void {
    if (value.length > 65_535) throw new RangeError(`binary data of ${value.length} bytes does not fit: MQTT allows 65,535`)
    this.twoBytes(value.length)
    this.raw(value)
  }

  raw(value: Uint8Array): void {
    this.#reserve(value.length)
    this.#bytes.set(value, this.#at)
    this.#at += value.length
  }

  /** A writer for what must be measured before it is written. */
  nested(): Writer {
    return new Writer()
  }

  append(other: Writer): void {
    this.raw(other.written)
  }

  /** What was written so far. */
  get written(): Buffer {
    return this.#bytes.subarray(0, this.#at)
  }

  /** Copies what was written to another buffer; returns how much. */
  copyTo(target: Buffer, at: number): number {
    return this.#bytes.copy(target, at, 0, this.#at)
  }

  /** The packet: fixed header, remaining length and what was written. */
  packet(header: number): Buffer {
    const packet = Buffer.allocUnsafe(1 + variableLength(this.#at) + this.#at)
    packet[0] = header
    const at = writeVariable(packet, 1, this.#at)
    this.#bytes.copy(packet, at, 0, this.#at)
    return packet
  }

  #reserve(size: number): void {
    if (this.#at + size <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + size))
    this.#bytes.copy(larger, 0, 0, this.#at)
    this.#bytes = larger
  }
}

/** Bytes of a variable byte integer. */
export function variableLength(value: number): number {
  return value < 128 ? 1 : value < 16_384 ? 2 : value < 2_097_152 ? 3 : 4
}

/** Writes a variable byte integer; returns where it ends. */
export function writeVariable(bytes: Buffer, at: number, value: number): number {
  while (value > 127) {
    bytes[at++] = (value & 0x7f) | 0x80
    value >>>= 7
  }
  bytes[at++] = value
  return at
}
