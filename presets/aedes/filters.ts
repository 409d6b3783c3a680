import { type Client as CoreClient, OperatorError, ReasonCode, type SubscriptionAttempt } from '../index.ts'
import type { Client } from './client.ts'
import { once } from './once.ts'
import type { Subscription } from './packet-types.ts'

/** One topic filter that is being subscribed to: what handlers and events see of it, and whether the program subscribes the client to it. */
interface Asked {
  readonly shown: Subscription
  readonly own: boolean
}

/** Whose filters they are. */
interface FilterOwner {
  readonly client: Client
  /** The broker's own client; null until its CONNECT has been read. */
  readonly core: CoreClient | null
  /** Something went wrong with the client, which ends it. */
  fail(error: Error, reasonCode?: ReasonCode): void
}

/** What one client subscribes to: each filter is asked about by itself, and all of one SUBSCRIBE are told together. */
export class Filters {
  readonly #link: FilterOwner
  // What `authorizeSubscribe` was asked, in the order of the SUBSCRIBE, until it is answered.
  readonly #asked = new Map<SubscriptionAttempt, Asked>()
  // What the program is subscribing the client to: whoever asked is told of errors in another way.
  readonly #own = new Map<string, Subscription>()
  readonly #ownErrors = new Map<string, Error>()
  #answered: Asked[] = []
  #gone: string[] = []
  readonly #refused: string[] = []

  constructor(link: FilterOwner) {
    this.#link = link
  }

  /** A filter is about to be judged: the handler's opinion. */
  ask(attempt: SubscriptionAttempt): Promise<ReasonCode | undefined> {
    const { client } = this.#link
    const own = this.#own.get(attempt.requested)
    const shown = own ?? shownOf(attempt, client.version)
    this.#asked.set(attempt, { shown, own: own !== undefined })
    return new Promise(resolve => {
      const answered = once((error: Error | null, subscription?: Subscription | null): void => {
        if (error) {
          // Whoever subscribes by himself is cut off; the program is told.
          if (own === undefined) this.#link.fail(error, ReasonCode.NotAuthorized)
          else this.#ownErrors.set(attempt.requested, error)
          return resolve(ReasonCode.NotAuthorized)
        }
        if (typeof subscription !== 'object' || subscription === null)
          return resolve(client.version === 5 ? ReasonCode.NotAuthorized : ReasonCode.UnspecifiedError)
        attempt.filter = subscription.topic
        if (subscription.qos < attempt.qos) attempt.qos = subscription.qos as 0 | 1 | 2
        resolve(undefined)
      })
      client.broker.authorizeSubscribe(client, shown, answered)
    })
  }

  /** The session is resumed: the handler's opinion on each filter that it holds. Those that are refused go when the client may be told of it. */
  async askResumed(): Promise<void> {
    const { client, core } = this.#link
    const held = [...(core?.session?.subscriptions.values() ?? [])]
    for (const { filter, requested = filter, qos } of held) {
      const granted = await new Promise<boolean>(resolve => {
        client.broker.authorizeSubscribe(client, { topic: requested, qos }, (error, subscription) => {
          if (error) this.#link.fail(error, ReasonCode.NotAuthorized)
          resolve(!error && typeof subscription === 'object' && subscription !== null)
        })
      })
      if (client.closed) return
      if (!granted) this.#refused.push(requested)
    }
  }

  /** The client is connected: what was refused of its session goes. */
  takeAwayRefused(): void {
    const refused = this.#refused.splice(0)
    if (refused.length > 0) this.unsubscribe(refused).catch(error => this.#link.client.broker.wiring.broker.report(error))
  }

  /** A filter has been answered: 0x80 and above refuses it. */
  answered(attempt: SubscriptionAttempt, reasonCode: number): void {
    const asked = this.#asked.get(attempt) ?? {
      shown: shownOf(attempt, this.#link.client.version),
      own: this.#own.has(attempt.requested),
    }
    asked.shown.qos = reasonCode < 0x80 ? (reasonCode as 0 | 1 | 2) : 128
    // aedes closes the connection of whoever asks for too many levels; MQTT 5 has an answer for it.
    if (reasonCode === ReasonCode.TopicFilterInvalid && !asked.own && this.#link.client.version !== 5)
      this.#link.fail(new Error('topic has too many levels'), ReasonCode.TopicFilterInvalid)
    // Refusals are told before what was granted: the order of the SUBSCRIBE is that in which they were asked.
    this.#answered.push(asked)
    if (this.#answered.length === 1) queueMicrotask(() => this.#tellSubscribed())
  }

  #tellSubscribed(): void {
    const answered = new Set(this.#answered)
    this.#answered = []
    const inOrder: Asked[] = []
    for (const [attempt, asked] of this.#asked) {
      if (!answered.delete(asked)) continue
      this.#asked.delete(attempt)
      inOrder.push(asked)
    }
    // Those that were refused unasked.
    inOrder.push(...answered)
    const subscriptions = inOrder.filter(({ own }) => !own).map(({ shown }) => shown)
    if (subscriptions.length > 0) this.#told('subscribe', subscriptions)
  }

  /** A filter is gone. */
  gone(filter: string): void {
    this.#gone.push(filter)
    if (this.#gone.length > 1) return
    queueMicrotask(() => {
      const gone = this.#gone
      this.#gone = []
      this.#told('unsubscribe', gone)
    })
  }

  /** The session ends with its connection, and so do its subscriptions. */
  allGone(filters: string[]): void {
    if (filters.length > 0) this.#told('unsubscribe', filters)
  }

  #told(...[event, subs]: ['subscribe', Subscription[]] | ['unsubscribe', string[]]): void {
    const { client } = this.#link
    const { broker } = client
    if (event === 'subscribe') broker.emit(event, subs, client)
    else broker.emit(event, subs, client)
    broker.wiring.say(`new/${event}s`, JSON.stringify({ clientId: client.id, subs }))
  }

  /** Subscribes for the program. */
  async subscribe(list: Subscription[]): Promise<void> {
    const option = list.flatMap(one => (['nl', 'rap', 'rh'] as const).filter(name => one[name])).at(0)
    if (option !== undefined)
      throw new OperatorError('ERR_AEDES_OPTION', `${option}: only a client itself can ask for it, with MQTT 5; leave it out`)
    const byTopic = new Map(list.map(one => [one.topic, one]))
    const subscriptions = byTopic.size === list.length ? list : [...byTopic.values()]
    const { wiring } = this.#link.client.broker
    for (const subscription of subscriptions) this.#own.set(subscription.topic, subscription)
    const topics = subscriptions.map(({ topic }) => topic)
    try {
      for (const [i, { topic, qos }] of subscriptions.entries()) {
        const code = await wiring.broker.subscribeClient(this.#link.core!, topic, qos as 0 | 1 | 2)
        const error = this.#ownErrors.get(topics[i]!)
        if (error !== undefined) throw error
        if (code >= 0x80) subscriptions[i]!.qos = 128
      }
    } finally {
      for (const topic of topics) {
        this.#own.delete(topic)
        this.#ownErrors.delete(topic)
      }
    }
    this.#told('subscribe', subscriptions)
  }

  /** Unsubscribes for the program. */
  async unsubscribe(topics: readonly string[]): Promise<void> {
    const { wiring } = this.#link.client.broker
    // All at once, so that nothing comes between them.
    await Promise.all(topics.map(topic => wiring.broker.unsubscribeClient(this.#link.core!, topic)))
  }
}

function shownOf({ filter, qos, noLocal, retainAsPublished, retainHandling }: SubscriptionAttempt, version: number): Subscription {
  const options = version === 5 ? { nl: noLocal, rap: retainAsPublished, rh: retainHandling } : {}
  return { topic: filter, qos, ...options }
}
