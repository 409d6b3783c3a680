import type { Message } from '../../core/messages/message.ts'
import { queuedBytes } from '../../core/sessions/queue-policy.ts'
import type { Clock } from '../../core/time/clock.ts'
import { RetainedTree } from '../kit/retained-tree.ts'
import type { RetainedCursor, RetainedStore } from '../kit/services/retained.ts'

/** Retained messages in a tree by topic levels. */
export class MemoryRetained implements RetainedStore {
  readonly #tree = new RetainedTree<Message>()
  readonly #clock: Clock
  #bytes = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#tree.size
  }

  get bytes(): number {
    return this.#bytes
  }

  has(topic: string): boolean {
    return this.#tree.get(topic) !== undefined
  }

  set(message: Message): void {
    if (message.payloadLength === 0) return this.#delete(message.topic) // [MQTT-3.3.1-6]
    this.#changed(message, this.#tree.set(message.topic, message.compact()))
  }

  #delete(topic: string): void {
    this.#changed(undefined, this.#tree.delete(topic))
  }

  #changed(now: Message | undefined, before: Message | undefined): void {
    if (now !== undefined) this.#bytes += queuedBytes(now)
    if (before !== undefined) this.#bytes -= queuedBytes(before)
  }

  match(filter: string): RetainedCursor {
    const iterator = this.#tree.iterate(filter)
    return {
      next: limit => {
        const page = iterator.next(limit)
        const now = this.#clock.now()
        const messages: Message[] = []
        for (const [topic, message] of page.entries) {
          if (message.expiresAt > now) messages.push(message)
          else this.#delete(topic)
        }
        return { messages, done: page.done }
      },
    }
  }
}
