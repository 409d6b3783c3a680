import type { QoS } from '../protocol/constants.ts'
import type { DeliveryTerms } from './delivery-terms.ts'
import type { ShareGroup } from './share-group.ts'
import type { Subscriber, Subscription } from './subscription.ts'

/** One receiver of a topic: all its overlapping subscriptions made one. */
export class Target<S extends Subscriber> {
  /** The session that gets the message. */
  readonly subscriber: S
  /** The highest of them [MQTT-3.3.4-2]. */
  readonly qos: QoS
  /** At least one of them is Retain As Published. */
  readonly retainAsPublished: boolean
  /** All identifiers; null for none [MQTT-3.3.4-4]. */
  readonly identifiers: readonly number[] | null
  /** At least one of them is No Local. */
  readonly noLocal: boolean
  /** The subscriptions that match. */
  readonly subscriptions: readonly Subscription[]
  /** How the subscriber got the last message. @internal */
  lastTerms: DeliveryTerms | null
  // Made once, however often the subscriber publishes to the topic itself.
  #others: Target<S> | null | undefined

  constructor(subscriber: S, subscriptions: readonly Subscription[]) {
    let qos: QoS = 0
    let retainAsPublished = false
    let noLocal = false
    let identifiers: number[] | null = null
    for (const subscription of subscriptions) {
      if (subscription.qos > qos) qos = subscription.qos
      if (subscription.retainAsPublished) retainAsPublished = true
      if (subscription.noLocal) noLocal = true
      if (subscription.identifier > 0) {
        identifiers ??= []
        identifiers.push(subscription.identifier)
      }
    }
    this.subscriber = subscriber
    this.qos = qos
    this.retainAsPublished = retainAsPublished
    this.identifiers = identifiers
    this.noLocal = noLocal
    this.subscriptions = subscriptions
    this.lastTerms = null
    this.#others = undefined
  }

  /** The same without its No Local subscriptions; null where it has no other. @internal */
  withoutNoLocal(): Target<S> | null {
    if (this.#others !== undefined) return this.#others
    const others = this.subscriptions.filter(subscription => !subscription.noLocal)
    return (this.#others = others.length === 0 ? null : new Target(this.subscriber, others))
  }
}

/** Everybody who gets what is published to one topic name. */
export interface Route<S extends Subscriber> {
  /** The topic name. */
  readonly topic: string
  /** Who gets it by a subscription of their own, each once. */
  readonly targets: readonly Target<S>[]
  /** The shared groups that match; one member of each gets it. */
  readonly groups: readonly ShareGroup<S>[]
}
