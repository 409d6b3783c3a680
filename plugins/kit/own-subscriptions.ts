import type { Broker } from '../../core/broker.ts'
import type { Session } from '../../core/connection/client.ts'
import type { Message } from '../../core/messages/message.ts'
import type { Receipt } from '../../core/messages/receipt.ts'
import type { Subscription } from '../../core/routing/subscription.ts'
import { isTopicFilter, matches } from '../../core/routing/topic.ts'

/** What the program does with a message; the publisher's acknowledgement waits for the promise, and a throw or a rejection withholds it. */
export type MessageHandler = (message: Message) => void | Promise<void>

/** A subscription of the program's own. */
export interface OwnSubscription {
  /** Ends it; messages that the handler has in its hands are not touched. */
  unsubscribe(): void
}

interface Held {
  readonly subscription: Subscription
  readonly handler: MessageHandler
  /** QoS 0 messages that the handler has not done with. */
  pending: number
}

// Nobody waits for QoS 0, so a handler that is slow must not collect without end.
const pendingMax = 1000

// Stands for the program where nodes are told who wants what.
const session: Session = {
  kind: 'session',
  clientId: '',
  client: null,
  node: null,
  online: false,
  username: null,
  rights: null,
  durable: false,
  epoch: 0,
  expiryMs: 0,
  subscriptions: new Map(),
  waiting: () => [],
}

/** What the program itself has subscribed to. */
export class OwnSubscriptions {
  readonly #host: Pick<Broker, 'hooks' | 'drop' | 'report'>
  readonly #held = new Set<Held>()
  #tapped = false
  #loaded = false

  constructor(host: Pick<Broker, 'hooks' | 'drop' | 'report'>) {
    this.#host = host
  }

  add(filter: string, handler: MessageHandler): OwnSubscription {
    if (!isTopicFilter(filter) || filter.startsWith('$share/'))
      throw new TypeError(`subscribe: ${JSON.stringify(filter)} is no topic filter, or a shared one`)
    const { hooks } = this.#host
    if (!this.#tapped) {
      this.#tapped = true
      hooks.onRoute.tap('broker.subscribe', (message, _route, receipt) => this.#routed(message, receipt))
    }
    const subscription: Subscription = { filter, qos: 2, noLocal: false, retainAsPublished: true, retainHandling: 2, identifier: 0 }
    const held = { subscription, handler, pending: 0 }
    this.#held.add(held)
    if (this.#loaded) hooks.onRoutesChanged.call(session, subscription, null)
    return {
      unsubscribe: () => {
        if (this.#held.delete(held) && this.#loaded) hooks.onRoutesChanged.call(session, null, subscription)
      },
    }
  }

  /** Plugins have started: whoever connects nodes is told now. */
  load(): void {
    this.#loaded = true
    for (const { subscription } of this.#held) this.#host.hooks.onRoutesChanged.call(session, subscription, null)
  }

  #routed(message: Message, receipt: Receipt): void {
    for (const held of this.#held) {
      const { filter } = held.subscription
      if (!matches(filter, message.topic)) continue
      receipt.matched = true
      if (message.qos === 0 && held.pending >= pendingMax) this.#host.drop(`broker.subscribe ${filter}`, message, 'slowReader')
      else this.#hand(held, message, receipt)
    }
  }

  #hand(held: Held, message: Message, receipt: Receipt): void {
    const name = `broker.subscribe(${JSON.stringify(held.subscription.filter)})`
    const failed = (cause: unknown): Error => {
      const error = new Error(`${name}: the handler failed: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
      this.#host.report(error)
      return error
    }
    try {
      const done = held.handler(message.own()) as Promise<void> | undefined
      if (typeof done?.then !== 'function') return
      const release = receipt.hold(name)
      held.pending += message.qos === 0 ? 1 : 0
      done
        .then(
          () => release(),
          cause => release(failed(cause)),
        )
        .finally(() => {
          held.pending -= message.qos === 0 ? 1 : 0
        })
    } catch (cause) {
      receipt.hold(name)(failed(cause))
    }
  }
}

declare module '../../core/broker.js' {
  interface Broker {
    /**
     * Subscribes the program itself: `handler` gets each accepted message that the topic filter matches, whatever its QoS, also those that other nodes of a cluster accept. The
     * acknowledgement of a QoS 1 or 2 message waits for the promise that the handler gives; a throw or a rejection withholds it, so that its publisher sends the message
     * again. Of QoS 0, 1,000 messages may be under way; more are dropped (`slowReader`). Retained messages are not handed over. Throws a `TypeError` where the filter is none, or shared.
     */
    subscribe(filter: string, handler: MessageHandler): OwnSubscription
  }
}
