import type { Broker } from '../../core/broker.ts'
import type { Client } from '../../core/client.ts'
import type { SubscriptionAttempt } from '../../core/hooks.ts'
import type { RetainedCursor, RetainedPage } from '../../core/retained.ts'

/**
 * Sends the retained messages of one filter to one client: a page, then everybody else's turn, then the next; and no faster
 * than the client reads.
 */
export class Replay {
  readonly #broker: Broker
  readonly #client: Client
  readonly #subscription: Readonly<SubscriptionAttempt>
  readonly #cursor: RetainedCursor
  readonly #pageSize: number

  constructor(broker: Broker, client: Client, subscription: Readonly<SubscriptionAttempt>, cursor: RetainedCursor, pageSize: number) {
    this.#broker = broker
    this.#client = client
    this.#subscription = subscription
    this.#cursor = cursor
    this.#pageSize = pageSize
  }

  run(): void {
    const client = this.#client
    // Gone, or no longer subscribed.
    if (client.state !== 'connected' || !client.session!.subscriptions.has(this.#subscription.filter)) return
    if (client.congested) {
      client.whenReady(() => this.run())
      return
    }
    const page = this.#cursor.next(this.#pageSize)
    if (page instanceof Promise)
      page.then(
        found => this.#send(found),
        error => this.#broker.report(error),
      )
    else this.#send(page)
  }

  #send({ messages, done }: RetainedPage): void {
    const { qos, identifier, noLocal } = this.#subscription
    const identifiers = identifier > 0 ? [identifier] : null
    for (const message of messages) {
      if (noLocal && message.clientId === this.#client.clientId) continue // [MQTT-3.8.3-3]
      this.#broker.deliver(this.#client, message, Math.min(qos, message.qos) as 0 | 1 | 2, true, identifiers)
    }
    if (!done) setImmediate(() => this.run())
  }
}
