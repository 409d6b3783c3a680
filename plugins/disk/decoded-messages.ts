import type { Message } from '../../core/messages/message.ts'
import { queuedBytes } from '../../core/sessions/queue-policy.ts'

/**
 * The retained messages that were read last, by topic: clients that ask for the same at the same time, by whatever filters, get the same message, read
 * and encoded once. Bounded in bytes; what was read first goes first.
 */
export class DecodedMessages {
  readonly #bytesMax: number
  readonly #messages = new Map<string, Message>()
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get(topic: string): Message | undefined {
    return this.#messages.get(topic)
  }

  set(message: Message): void {
    this.delete(message.topic)
    const bytes = queuedBytes(message)
    if (bytes > this.#bytesMax) return
    this.#messages.set(message.topic, message)
    this.#bytes += bytes
    for (const [topic] of this.#messages) {
      if (this.#bytes <= this.#bytesMax) return
      this.delete(topic)
    }
  }

  delete(topic: string): void {
    const message = this.#messages.get(topic)
    if (message === undefined) return
    this.#messages.delete(topic)
    this.#bytes -= queuedBytes(message)
  }
}
