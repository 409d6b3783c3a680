import type { DeliveryTerms } from './delivery-terms.ts'
import type { Subscriber, Subscription } from './subscription.ts'

/** One member of a shared subscription, and what it subscribed with. */
export class Member<S extends Subscriber> {
  /** The session that is a member. */
  readonly subscriber: S
  /** What the member subscribed with. */
  readonly subscription: Subscription
  /** How the member got the last message. @internal */
  lastTerms: DeliveryTerms | null = null

  constructor(subscriber: S, subscription: Subscription) {
    this.subscriber = subscriber
    this.subscription = subscription
  }
}

/** The members of one shared subscription. The same object as long as it has any, so that a plugin may remember things by it. */
export class ShareGroup<S extends Subscriber> {
  /** The group's name, the first level behind `$share/`. */
  readonly name: string
  /** Without `$share/{name}/`. */
  readonly filter: string
  /** The whole filter, `$share/{name}/{filter}`: names the group among all. */
  readonly key: string
  readonly #members = new Map<S, Member<S>>()
  #list: readonly Member<S>[] | null = null

  constructor(name: string, filter: string) {
    this.name = name
    this.filter = filter
    this.key = `$share/${name}/${filter}`
  }

  /** In the order in which they joined. */
  get members(): readonly Member<S>[] {
    this.#list ??= [...this.#members.values()]
    return this.#list
  }

  /** How many members there are. */
  get size(): number {
    return this.#members.size
  }

  /** Adds a member; `true`: the subscriber was one already, and has another subscription now. */
  add(subscriber: S, subscription: Subscription): boolean {
    const existed = this.#members.has(subscriber)
    this.#members.set(subscriber, new Member(subscriber, subscription))
    this.#list = null
    return existed
  }

  /** Takes a member out and returns its subscription; `undefined`: it was none. */
  remove(subscriber: S): Subscription | undefined {
    const member = this.#members.get(subscriber)
    if (member === undefined) return undefined
    this.#members.delete(subscriber)
    this.#list = null
    return member.subscription
  }
}
