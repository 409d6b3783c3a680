import type { Message } from '../../core/messages/message.ts'
import type { RetainedCursor, RetainedStore } from '../../core/routing/retained.ts'
import type { Clock } from '../../core/time/clock.ts'
import { RetainedTree } from '../kit/retained-tree.ts'

/** Retained messages in a tree by topic levels. */
export class MemoryRetained implements RetainedStore {
  readonly #tree = new RetainedTree<Message>()
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#tree.size
  }

  set(message: Message): void {
    if (message.payloadLength === 0)
      this.#tree.delete(message.topic) // [MQTT-3.3.1-6]
    else this.#tree.set(message.topic, message.compact())
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
          else this.#tree.delete(topic)
        }
        return { messages, done: page.done }
      },
    }
  }
}
