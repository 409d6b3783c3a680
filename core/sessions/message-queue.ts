import { Fifo } from '../fifo.ts'
import type { Message } from '../messages/message.ts'
import type { DeliveryTerms } from '../routing/delivery-terms.ts'
import { isHigh, isLow, queuedBytes, roomFor } from './queue-policy.ts'
import type { QueueLimits } from './session-store.ts'

/** One message that waits for a session's window, and how it will be sent. */
export interface QueuedDelivery {
  readonly message: Message
  readonly terms: DeliveryTerms
}

/** First in, first out, bounded by messages and bytes. */
export class MessageQueue<W extends QueuedDelivery> {
  readonly #entries = new Fifo<W>()
  bytes = 0
  readonly #limits: QueueLimits

  constructor(limits: QueueLimits) {
    this.#limits = limits
  }

  get length(): number {
    return this.#entries.length
  }

  get high(): boolean {
    return isHigh(this.#limits, this.length, this.bytes)
  }

  get low(): boolean {
    return isLow(this.#limits, this.length, this.bytes)
  }

  /** Puts one at the end. Returns what had to go for it: itself, older ones, or nothing (`null`). */
  push(entry: W): W[] | null {
    const size = bytesOf(entry)
    let dropped: W[] | null = null
    for (;;) {
      const room = roomFor(this.#limits, this.length, this.bytes, size)
      if (room === 'dropNewest') return [entry]
      if (room === 'fits') break
      dropped ??= []
      dropped.push(this.shift()!)
    }
    this.#entries.push(entry)
    this.bytes += size
    return dropped
  }

  shift(): W | undefined {
    const entry = this.#entries.shift()
    if (entry !== undefined) this.bytes -= bytesOf(entry)
    return entry
  }

  /** The messages that have waited for longest, at most so many. */
  first(limit: number): Message[] {
    const found: Message[] = []
    for (const { message } of this.#entries) if (found.push(message) >= limit) break
    return found
  }

  /** Keeps, in order, what the test lets stay; returns the rest. */
  sift(stays: (entry: W) => boolean): W[] {
    const gone = this.#entries.sift(stays)
    for (const entry of gone) this.bytes -= bytesOf(entry)
    return gone
  }

  [Symbol.iterator](): Iterator<W> {
    return this.#entries[Symbol.iterator]()
  }
}

function bytesOf({ message, terms }: QueuedDelivery): number {
  return queuedBytes(message, terms.identifiers)
}
