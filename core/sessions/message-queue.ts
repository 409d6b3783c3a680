import type { Message } from '../messages/message.ts'
import type { QoS } from '../protocol/constants.ts'
import type { Properties } from '../protocol/packets.ts'
import type { QueueLimits } from './session-store.ts'

/** One message that waits for a session's window. */
export interface Waiting {
  readonly message: Message
  readonly qos: QoS
  readonly retain: boolean
  readonly identifiers: readonly number[] | null
  readonly group: string | null
}

// What one entry costs besides its bytes.
const overhead = 100

/** A queue's bytes for one message. Properties count too: a client may send two mebibytes of them without any payload. */
export function queuedBytes(message: Message): number {
  const { properties } = message
  return message.payloadLength + message.topic.length + overhead + (properties === undefined ? 0 : propertyBytes(properties))
}

/** Bytes of the properties whose size the client decides. */
export function propertyBytes({ contentType, responseTopic, correlationData, userProperties }: Properties): number {
  let bytes = (contentType?.length ?? 0) + (responseTopic?.length ?? 0) + (correlationData?.length ?? 0)
  if (userProperties !== undefined) for (const [name, value] of userProperties) bytes += name.length + value.length + overhead
  return bytes
}

/** First in, first out, bounded by messages and bytes. Taking from the front moves nothing. */
export class MessageQueue<W extends Waiting> {
  #entries: (W | undefined)[] = []
  #head = 0
  bytes = 0
  readonly #limits: QueueLimits

  constructor(limits: QueueLimits) {
    this.#limits = limits
  }

  get length(): number {
    return this.#entries.length - this.#head
  }

  /** More than half full: time to slow the publishers. */
  get high(): boolean {
    return this.length * 2 > this.#limits.messagesMax || this.bytes * 2 > this.#limits.bytesMax
  }

  /** Less than a quarter full. */
  get low(): boolean {
    return this.length * 4 < this.#limits.messagesMax && this.bytes * 4 < this.#limits.bytesMax
  }

  /** Puts one at the end. Returns what had to go for it: itself, older ones, or nothing (`null`). */
  push(entry: W): W[] | null {
    const size = queuedBytes(entry.message)
    const { messagesMax, bytesMax, whenFull } = this.#limits
    if (size > bytesMax || messagesMax === 0) return [entry]
    let dropped: W[] | null = null
    while (this.length >= messagesMax || this.bytes + size > bytesMax) {
      if (whenFull === 'dropNewest') return [entry]
      dropped ??= []
      dropped.push(this.shift()!)
    }
    this.#entries.push(entry)
    this.bytes += size
    return dropped
  }

  shift(): W | undefined {
    const entry = this.#entries[this.#head]
    if (entry === undefined) return undefined
    this.#entries[this.#head] = undefined
    this.#head += 1
    this.bytes -= queuedBytes(entry.message)
    if (this.#head === this.#entries.length) {
      this.#entries = []
      this.#head = 0
    } else if (this.#head > 1024 && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head)
      this.#head = 0
    }
    return entry
  }

  /** Keeps, in order, what the test lets stay; returns the rest. */
  sift(stays: (entry: W) => boolean): W[] {
    const kept: W[] = []
    const gone: W[] = []
    for (const entry of this) (stays(entry) ? kept : gone).push(entry)
    for (const { message } of gone) this.bytes -= queuedBytes(message)
    this.#entries = kept
    this.#head = 0
    return gone
  }

  *[Symbol.iterator](): Iterator<W> {
    for (let i = this.#head; i < this.#entries.length; i++) yield this.#entries[i]!
  }
}
