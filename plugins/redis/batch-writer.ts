import '../../core/protocol/buffer-methods.ts'
import type { Keys } from './keys.ts'
import type { Code } from './script/layout.ts'

/** A place in what has been packed. */
export interface BatchMark {
  readonly at: number
  readonly lengthAt: number
  readonly names: number
}

/** Packs operations for the batch script: numbers big-endian, texts behind their length, keys by their number. */
export class BatchWriter {
  readonly #keys: Keys
  readonly #names: string[] = []
  readonly #firstNumber: number
  readonly #numbers = new Map<string, number>()
  #bytes = Buffer.allocUnsafe(4096)
  #at = 0
  #lengthAt = -1

  /** `firstNumber`: the number by which the script knows the first key that an operation names. */
  constructor(keys: Keys, firstNumber: number) {
    this.#keys = keys
    this.#firstNumber = firstNumber
  }

  /** The keys that the operations name. */
  get keys(): readonly string[] {
    return this.#names
  }

  get length(): number {
    return this.#at
  }

  /** What was written. The writer is not used any more afterwards. */
  finish(): Buffer {
    this.#endOperation()
    return this.#bytes.subarray(0, this.#at)
  }

  /** Begins the next operation. */
  operation(code: Code): void {
    this.#endOperation()
    this.byte(code)
    this.#lengthAt = this.#at
    this.fourBytes(0)
  }

  /** Where the next operation begins, for `back`. */
  get mark(): BatchMark {
    return { at: this.#at, lengthAt: this.#lengthAt, names: this.#names.length }
  }

  /** Takes back what has been written since: an operation that could not be packed. */
  back({ at, lengthAt, names }: BatchMark): void {
    this.#at = at
    this.#lengthAt = lengthAt
    this.#names.length = names
    for (const [name, number] of this.#numbers) if (number >= names + this.#firstNumber) this.#numbers.delete(name)
  }

  #endOperation(): void {
    if (this.#lengthAt !== -1) this.#bytes.writeUInt32BE(this.#at - this.#lengthAt - 4, this.#lengthAt)
    this.#lengthAt = -1
  }

  /** Names a session: the number of the first of its three keys. */
  session(clientId: string): void {
    const name = this.#keys.session(clientId)
    let number = this.#numbers.get(name)
    if (number === undefined) {
      number = this.#names.length + this.#firstNumber
      this.#names.push(name, this.#keys.queue(clientId), this.#keys.identifiers(clientId))
      this.#numbers.set(name, number)
    }
    this.fourBytes(number)
  }

  /** Names any other key. */
  key(name: string): void {
    let number = this.#numbers.get(name)
    if (number === undefined) {
      number = this.#names.length + this.#firstNumber
      this.#names.push(name)
      this.#numbers.set(name, number)
    }
    this.fourBytes(number)
  }

  byte(value: number): void {
    this.#reserve(1)
    this.#bytes[this.#at++] = value
  }

  twoBytes(value: number): void {
    this.#reserve(2)
    this.#at = this.#bytes.writeUInt16BE(value, this.#at)
  }

  fourBytes(value: number): void {
    this.#reserve(4)
    this.#at = this.#bytes.writeUInt32BE(value, this.#at)
  }

  double(value: number): void {
    this.#reserve(8)
    this.#at = this.#bytes.writeDoubleBE(value, this.#at)
  }

  /** A text of at most 255 bytes. */
  shortText(text: string): void {
    const length = Buffer.byteLength(text)
    if (length > 255) throw new RangeError(`"${text.slice(0, 32)}…" is longer than 255 bytes`)
    this.byte(length)
    this.#raw(text, length)
  }

  /** A text of at most 65,535 bytes. */
  text(text: string): void {
    const length = Buffer.byteLength(text)
    this.twoBytes(length)
    this.#raw(text, length)
  }

  binary(value: Buffer): void {
    this.fourBytes(value.length)
    this.#reserve(value.length)
    this.#bytes.set(value, this.#at)
    this.#at += value.length
  }

  longText(text: string): void {
    const length = Buffer.byteLength(text)
    this.fourBytes(length)
    this.#raw(text, length)
  }

  #raw(text: string, length: number): void {
    this.#reserve(length)
    this.#at += this.#bytes.utf8Write(text, this.#at)
  }

  #reserve(size: number): void {
    if (this.#at + size <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + size))
    this.#bytes.copy(larger, 0, 0, this.#at)
    this.#bytes = larger
  }
}
