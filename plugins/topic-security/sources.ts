import type { Message } from '../../core/messages/message.ts'
import type { Publisher } from '../../core/publisher.ts'
import type { Judge } from './judge.ts'

// Publishers of retained messages that are remembered, so that what rules say to them is worked out once.
const publishersMax = 1000

/** Whether those who have published retained messages might still do so. */
export class Sources {
  readonly #judge: Judge
  readonly #publishers = new Map<string, Publisher>()

  constructor(judge: Judge) {
    this.#judge = judge
  }

  /** The broker's own messages, and those of which an older version has not kept the publisher, pass. */
  mayPublish({ clientId, username, topic }: Message): boolean {
    if (clientId === '' || username === undefined) return true
    const key = JSON.stringify([clientId, username])
    let publisher = this.#publishers.get(key)
    if (publisher === undefined) {
      publisher = { clientId, username, rights: null }
      if (this.#publishers.size === publishersMax) this.#publishers.clear()
      this.#publishers.set(key, publisher)
    }
    return this.#judge.mayPublish(publisher, topic)
  }
}
