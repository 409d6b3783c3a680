import type { Broker } from '../../core/broker.ts'
import type { Client } from '../../core/connection/client.ts'
import type { Message } from '../../core/messages/message.ts'
import type { QoS } from '../../core/protocol/constants.ts'
import type { RetainedCursor, RetainedPage, RetainedStore } from '../../core/routing/retained.ts'
import type { SubscriptionAttempt } from '../../core/routing/subscription.ts'

/**
 * Sends one session the retained messages of its new subscriptions, one filter after the other: a page, then everybody else's
 * turn, then the next; and no faster than the client reads, so that however many there are none has to be dropped.
 */
export class Replay {
  readonly #broker: Broker
  readonly #store: RetainedStore
  #client: Client
  readonly #pageSize: number
  /** Filters whose turn comes later. */
  readonly #waiting = new Map<string, Readonly<SubscriptionAttempt>>()
  #subscription: Readonly<SubscriptionAttempt> | null = null
  #cursor: RetainedCursor | null = null
  /** Read and not yet sent, by topic. */
  readonly #page = new Map<string, Message>()
  #isLastPage = false
  /** Topics that were published to while a page was on its way; null while none is. */
  #overtaken: Set<string> | null = null
  #running = false
  #reading = false

  constructor(broker: Broker, store: RetainedStore, client: Client, pageSize: number) {
    this.#broker = broker
    this.#store = store
    this.#client = client
    this.#pageSize = pageSize
  }

  /** A filter that is still being served begins anew: sending the rest of it twice would help nobody. */
  add(subscription: Readonly<SubscriptionAttempt>): void {
    if (this.#subscription?.filter === subscription.filter) this.#leave()
    this.#waiting.delete(subscription.filter)
    this.#waiting.set(subscription.filter, subscription)
    if (this.#running) return
    this.#running = true
    this.#run()
  }

  /** The client gets a newer message of this topic by its subscription; what was read before must not come behind it. */
  overtake(topic: string): void {
    if (this.#overtaken !== null) this.#overtaken.add(topic)
    else this.#page.delete(topic)
  }

  /** Its session has a connection again: what QoS 1 and 2 still owe goes on where it stopped. */
  resume(client: Client): void {
    this.#client = client
    if (this.#subscription?.qos === 0) this.#leave()
    for (const [filter, { qos }] of this.#waiting) if (qos === 0) this.#waiting.delete(filter)
    if (this.#running) this.#run()
  }

  #run(): void {
    if (this.#reading) return
    const client = this.#client
    // Another connection may have taken over meanwhile, and goes its own way.
    const goOn = (): void => {
      if (client === this.#client) this.#run()
    }
    let room = this.#pageSize
    while (client.state === 'connected') {
      if (this.#subscription === null && !this.#begin()) {
        this.#running = false
        return
      }
      if (!client.session!.subscriptions.has(this.#subscription!.filter)) {
        this.#leave()
      } else if (client.congested) {
        client.whenReady(goOn)
        return
      } else if (this.#page.size > 0) {
        this.#send()
      } else if (this.#isLastPage) {
        this.#leave()
      } else if (room <= 0) {
        setImmediate(goOn)
        return
      } else {
        const page = this.#cursor!.next(this.#pageSize)
        if (page instanceof Promise) {
          this.#await(page)
          return
        }
        this.#keep(page)
        // Looking counts too, or many filters that match nothing would hold everybody up.
        room -= page.done ? page.messages.length + 1 : this.#pageSize
      }
    }
  }

  #begin(): boolean {
    for (const [filter, subscription] of this.#waiting) {
      this.#waiting.delete(filter)
      this.#subscription = subscription
      this.#cursor = this.#store.match(filter)
      this.#isLastPage = false
      return true
    }
    return false
  }

  #leave(): void {
    this.#subscription = null
    this.#cursor = null
    this.#page.clear()
  }

  #await(page: Promise<RetainedPage>): void {
    const cursor = this.#cursor
    this.#reading = true
    this.#overtaken = new Set()
    page
      .then(
        found => {
          if (this.#cursor === cursor) this.#keep(found)
        },
        error => {
          this.#broker.report(error)
          if (this.#cursor === cursor) this.#leave()
        },
      )
      .finally(() => {
        this.#reading = false
        this.#overtaken = null
        this.#run()
      })
  }

  #keep({ messages, done }: RetainedPage): void {
    for (const message of messages) if (this.#overtaken?.has(message.topic) !== true) this.#page.set(message.topic, message)
    this.#isLastPage = done
  }

  /** Sends what was read, until the client has enough for now. */
  #send(): void {
    const client = this.#client
    const { qos, identifier, noLocal } = this.#subscription!
    const identifiers = identifier > 0 ? [identifier] : null
    for (const [topic, message] of this.#page) {
      this.#page.delete(topic)
      if (noLocal && message.clientId === client.clientId) continue // [MQTT-3.8.3-3]
      if (!this.#broker.mayStillPublish(message)) {
        this.#broker.drop(client.clientId, message, 'notAuthorized')
        continue
      }
      this.#broker.deliver(client, message, Math.min(qos, message.qos) as QoS, true, identifiers)
      if (client.congested) return
    }
  }
}
