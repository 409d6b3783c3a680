import type { Broker } from '../../core/broker.ts'
import type { Client } from '../../core/connection/client.ts'
import type { Message } from '../../core/messages/message.ts'
import type { QoS } from '../../core/protocol/constants.ts'
import type { SubscriptionAttempt } from '../../core/routing/subscription.ts'
import { queuedBytes } from '../../core/sessions/queue-policy.ts'
import type { RetainedCursor, RetainedPage, RetainedStore } from '../kit/services/retained.ts'
import type { Budget, Replays } from './replays.ts'

// Bytes that a page is meant to have: what one replay holds while it cannot send.
const pageBytes = 65_536
// The first page is short, since nobody knows how large the messages are.
const firstPage = 16
// Messages of a client that waits for room are not sent beyond this, as long as it acknowledges none of them.
const unackedBytes = 131_072
// A page read counts for as much, whatever is on it: many filters that match nothing would else hold everybody up.
const lookBytes = 2048

const stepsUnlooked = 16

/**
 * Sends one session the retained messages of its new subscriptions, one filter after the other, a slice at a time (`Replays`), and no faster than the
 * client reads and acknowledges: so none has to be dropped, however many there are, and what is not yet sent takes no memory but its place in the store.
 */
export class Replay {
  readonly #broker: Broker
  readonly #replays: Replays
  readonly #store: RetainedStore
  #client: Client
  readonly #pageSize: number
  /** Filters whose turn comes later. */
  readonly #waiting = new Map<string, Readonly<SubscriptionAttempt>>()
  #subscription: Readonly<SubscriptionAttempt> | null = null
  #cursor: RetainedCursor | null = null
  /** Read and not yet sent, by topic; null: to be read again, because it had to wait for long. */
  readonly #page = new Map<string, Message | null>()
  #pageLimit = firstPage
  #isLastPage = false
  /** Bytes of the messages in `#page`. */
  #held = 0
  #lastBytes = 0
  /** Topics that were published to while a page was on its way; null while none is. */
  #overtaken: Set<string> | null = null
  #running = false
  #reading = false
  // An acknowledgement came: one message may go, though much is unacknowledged.
  #mayGo = false

  constructor(broker: Broker, replays: Replays, store: RetainedStore, client: Client, pageSize: number) {
    this.#broker = broker
    this.#replays = replays
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
    this.#replays.add(this)
  }

  /** The client gets a newer message of this topic by its subscription; what was read before must not come behind it. */
  overtake(topic: string): void {
    this.#overtaken?.add(topic)
    this.#take(topic)
  }

  /** Its session has a connection again: what QoS 1 and 2 still owe goes on where it stopped. */
  resume(client: Client): void {
    this.#client = client
    if (this.#subscription?.qos === 0) this.#leave()
    for (const [filter, { qos }] of this.#waiting) if (qos === 0) this.#waiting.delete(filter)
    if (this.#running) this.#replays.add(this)
  }

  /** Its connection has ended: what was read is read again when there is another. */
  park(): void {
    for (const topic of this.#page.keys()) this.#page.set(topic, null)
    this.#replays.held -= this.#held
    this.#held = 0
  }

  /** Goes on until the budget is used up, the client has enough for now, or the store has to be waited for. */
  slice(budget: Budget): void {
    if (this.#reading) return
    const client = this.#client
    // The clock is looked at now and then, so that a busy machine does not leave a replay where it is.
    for (let steps = 1; client.state === 'connected'; steps++) {
      if (this.#subscription === null && !this.#begin()) {
        this.#running = false
        return
      }
      if (!client.session!.subscriptions.has(this.#subscription!.filter)) {
        this.#leave()
      } else if (!this.#hasRoom(client)) {
        return this.#await(client)
      } else if (budget.bytes <= 0 || (steps % stepsUnlooked === 0 && this.#broker.clock.now() >= budget.until)) {
        return this.#replays.add(this)
      } else if (this.#page.size > 0) {
        if (!this.#sendOne(budget)) return
      } else if (this.#isLastPage) {
        this.#leave()
      } else {
        budget.bytes -= lookBytes
        const page = this.#cursor!.next(this.#pageLimit)
        if (page instanceof Promise) return this.#read(page, found => this.#keep(found))
        this.#keep(page)
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
    this.#replays.held -= this.#held
    this.#held = 0
    this.#page.clear()
  }

  // What is in flight is kept until it is acknowledged, and a client that reads nothing acknowledges nothing.
  #hasRoom(client: Client): boolean {
    if (client.congested) return false
    if (this.#subscription!.qos === 0 || this.#mayGo) return true
    return client.inFlight * this.#lastBytes <= unackedBytes
  }

  #await(client: Client): void {
    if (this.#replays.crowded) this.park()
    client.whenReady(() => {
      // Another connection may have taken over meanwhile, and goes its own way.
      if (client !== this.#client) return
      this.#mayGo = true
      this.#replays.add(this)
    })
  }

  #read(page: Promise<RetainedPage>, keep: (page: RetainedPage) => void): void {
    const cursor = this.#cursor
    this.#reading = true
    this.#overtaken = new Set()
    page
      .then(
        found => {
          if (this.#cursor === cursor) keep(found)
        },
        error => {
          this.#broker.report(error)
          if (this.#cursor === cursor) this.#leave()
        },
      )
      .finally(() => {
        this.#reading = false
        this.#overtaken = null
        if (this.#client.state === 'connected') this.#replays.add(this)
        else this.park()
      })
  }

  #keep({ messages, done }: RetainedPage): void {
    for (const message of messages) if (this.#overtaken?.has(message.topic) !== true) this.#hold(message)
    this.#isLastPage = done
    if (messages.length > 0) {
      const average = this.#held / Math.max(1, this.#page.size)
      this.#pageLimit = Math.max(1, Math.min(this.#pageSize, Math.floor(pageBytes / Math.max(1, average))))
    }
  }

  #hold(message: Message): void {
    const bytes = queuedBytes(message)
    this.#page.set(message.topic, message)
    this.#held += bytes
    this.#replays.held += bytes
  }

  /** Takes a message out of the page. */
  #take(topic: string): void {
    const message = this.#page.get(topic)
    if (message === undefined) return
    this.#page.delete(topic)
    if (message === null) return
    const bytes = queuedBytes(message)
    this.#held -= bytes
    this.#replays.held -= bytes
  }

  /** Sends the first message of the page. False where it has to be read again first. */
  #sendOne(budget: Budget): boolean {
    const [topic, message] = this.#page.entries().next().value!
    if (message !== null) {
      this.#take(topic)
      this.#send(message, budget)
      return true
    }
    // A topic name is a filter that matches nothing else.
    budget.bytes -= lookBytes
    const page = this.#store.match(topic).next(1)
    const again = ({ messages }: RetainedPage): void => {
      const found = messages.find(one => one.topic === topic)
      // It stays at the front of its page.
      if (found !== undefined && this.#page.has(topic) && this.#overtaken?.has(topic) !== true) this.#hold(found)
      else this.#page.delete(topic)
    }
    if (page instanceof Promise) {
      this.#read(page, again)
      return false
    }
    again(page)
    return true
  }

  #send(message: Message, budget: Budget): void {
    const client = this.#client
    const { qos, identifier, noLocal } = this.#subscription!
    const bytes = queuedBytes(message)
    budget.bytes -= bytes
    // Before MQTT 5 only a bridge has this option [MQTT-3.8.3-3].
    if (noLocal && message.clientId === client.clientId && (client.version === 5 || client.bridge)) return
    if (!this.#broker.mayStillPublish(message)) {
      this.#broker.drop(client.clientId, message, 'notAuthorized')
      return
    }
    this.#lastBytes = bytes
    this.#mayGo = false
    this.#broker.deliver(client, message, Math.min(qos, message.qos) as QoS, true, identifier > 0 ? [identifier] : null)
  }
}
