import type { ServerMessage } from '../../core/broker.ts'

type Done = (error?: Error) => void

interface Waiting {
  readonly message: ServerMessage
  readonly done: Done[]
}

/**
 * Publishes in the broker's own name, one message of a topic name at a time and in order, however long the store or a lookup of subscribers takes. Of those that wait meanwhile the last one is
 * published; who waits for an earlier one is answered with it.
 */
export class LatestPublish {
  readonly #publish: (message: ServerMessage) => Promise<void>
  readonly #underWay = new Map<string, Waiting | null>()

  constructor(publish: (message: ServerMessage) => Promise<void>) {
    this.#publish = publish
  }

  publish(message: ServerMessage, done: Done): void {
    const before = this.#underWay.get(message.topic)
    if (before === undefined) return this.#send(message, [done])
    const waiters = before?.done ?? []
    waiters.push(done)
    this.#underWay.set(message.topic, { message, done: waiters })
  }

  #send(message: ServerMessage, done: readonly Done[]): void {
    this.#underWay.set(message.topic, null)
    const settled = (error?: Error): void => {
      const next = this.#underWay.get(message.topic)!
      if (next === null) this.#underWay.delete(message.topic)
      else this.#send(next.message, next.done)
      for (const one of done) one(error)
    }
    this.#publish(message).then(() => settled(), settled)
  }
}
