import type { Broker } from '../broker.ts'
import type { Message } from '../messages/message.ts'
import { Receipt } from '../messages/receipt.ts'
import type { QoS } from '../protocol/constants.ts'
import type { Waiting } from '../sessions/message-queue.ts'
import type { Session } from '../sessions/session.ts'
import type { AppendTarget, ReceivedId } from '../sessions/session-store.ts'
import type { Member, Route, ShareGroup, Target } from './router.ts'

/** What became of a message: whether anybody had subscribed to it, and what its acknowledgement waits for (null: nothing). */
export interface Outcome {
  matched: boolean
  receipt: Receipt | null
}

/** The member of a shared group, `$share/{name}/{filter}`, that gets a message. */
export interface Pick {
  readonly group: string
  readonly clientId: string
}

/** Who is to have a message that is being dispatched, as far as is known yet. */
interface Collected {
  readonly targets: AppendTarget[]
  readonly sessions: Session[]
}

/** Brings each accepted message to everybody who is to have it. */
export class Dispatcher {
  readonly #broker: Broker
  // One object serves all calls: the caller reads it before the next message comes.
  readonly #outcome: Outcome
  #targets: AppendTarget[]
  #sessions: Session[]

  constructor(broker: Broker) {
    this.#broker = broker
    this.#outcome = { matched: false, receipt: null }
    this.#targets = []
    this.#sessions = []
  }

  /** Routes a message. `publisher` is left out of its own No Local subscriptions; `received` is remembered in the same batch. */
  dispatch(message: Message, publisher: Session | null, received: ReceivedId | null): Outcome {
    const outer = this.#begin()
    try {
      return this.#dispatch(message, publisher, received)
    } finally {
      this.#end(outer, message)
    }
  }

  /** Taps may publish in the middle of all this: what has been collected so far is not for their message. */
  #begin(): Collected | null {
    if (this.#targets.length === 0) return null
    const outer = { targets: this.#targets, sessions: this.#sessions }
    this.#targets = []
    this.#sessions = []
    return outer
  }

  #end(outer: Collected | null, message: Message): void {
    // Something threw before these were handed to the store: they are not for the next message either.
    for (let i = 0; i < this.#targets.length; i++) this.#sessions[i]!.lost(message, this.#targets[i]!)
    if (outer === null && this.#targets.length === 0) return
    this.#targets = outer?.targets ?? []
    this.#sessions = outer?.sessions ?? []
  }

  #dispatch(message: Message, publisher: Session | null, received: ReceivedId | null): Outcome {
    const broker = this.#broker
    const outcome = this.#outcome
    const route = broker.router.route(message.topic)
    let receipt: Receipt | null = null
    if (broker.routeUsed) {
      receipt = new Receipt()
      broker.hooks.onRoute.call(message, route, receipt)
    }
    const { targets, groups } = route
    for (let i = 0; i < targets.length; i++) receipt = this.#toTarget(message, targets[i]!, publisher, receipt)
    for (let i = 0; i < groups.length; i++) receipt = this.#toGroup(message, groups[i]!, receipt)
    if (this.#targets.length > 0 || received !== null) receipt = this.#append(message, received, receipt)
    if (receipt !== null) {
      receipt.release()
      if (receipt.settled && receipt.error === undefined) receipt = null
    }
    outcome.matched = targets.length > 0 || groups.length > 0
    outcome.receipt = receipt
    return outcome
  }

  /**
   * What another node has accepted and kept: it goes to those who are connected here. Where the store keeps it for one of them, that node
   * has seen to it; of shared groups it names the members that it has picked.
   */
  receive(message: Message, plain: boolean, picks: readonly Pick[]): void {
    const outer = this.#begin()
    try {
      const broker = this.#broker
      const route = broker.router.route(message.topic)
      let receipt: Receipt | null = null
      if (broker.routeUsed) {
        receipt = new Receipt()
        broker.hooks.onRoute.call(message, route, receipt)
      }
      const publisher = broker.roster.get(message.clientId) ?? null
      for (const target of plain ? route.targets : []) {
        const { client, durable } = target.subscriber
        if (client === null || (durable && Math.min(message.qos, target.qos) > 0)) continue
        receipt = this.#toTarget(message, target, publisher, receipt)
      }
      for (const { group: key, clientId } of picks) receipt = this.#toPicked(message, key, clientId, receipt)
      if (this.#targets.length > 0) receipt = this.#append(message, null, receipt)
      receipt?.release()
    } finally {
      this.#end(outer, message)
    }
  }

  #toPicked(message: Message, key: string, clientId: string, receipt: Receipt | null): Receipt | null {
    const group = this.#broker.router.groupOf(key)
    const member = group?.members.find(({ subscriber }) => subscriber.clientId === clientId && subscriber.client !== null)
    if (member !== undefined) return this.#toMember(message, key, member, receipt)
    // It has gone meanwhile: somebody else of its group.
    return group === undefined ? this.#toNobody(message, key, receipt) : this.#toGroup(message, group, receipt)
  }

  /** A message that goes nowhere, of which only the QoS 2 identifier is remembered. */
  remember(message: Message, received: ReceivedId | null): Outcome {
    const outcome = this.#outcome
    outcome.matched = false
    outcome.receipt = null
    if (received !== null) {
      const receipt = this.#append(message, received, null)
      receipt?.release()
      outcome.receipt = receipt
    }
    return outcome
  }

  /** One message to one session that asked for it: a retained message, an answer, a group's message that a member left behind. */
  deliverTo(
    session: Session,
    message: Message,
    qos: QoS,
    retain: boolean,
    identifiers: readonly number[] | null,
    group: string | null,
  ): void {
    const outer = this.#begin()
    try {
      this.#toSession(session, message, qos, retain, identifiers, group, null)
      if (this.#targets.length === 0) return
      const receipt = this.#append(message, null, null)
      receipt?.release()
      // Nobody will send this again.
      receipt?.onSettled(error => error !== undefined && this.#broker.drop(session.clientId, message, 'storeFailed'))
    } finally {
      this.#end(outer, message)
    }
  }

  /** What a member that is gone for good has left goes to the others of its group, or to nobody. */
  redistribute(from: string, left: Iterable<Waiting>): void {
    const { lookup, troubles } = this.#broker
    if (lookup === null) return this.#redistribute(from, left)
    for (const waiting of left) {
      const again = () => this.#redistribute(from, [waiting])
      lookup.known(waiting.message.topic).then(again, error => {
        troubles.say(error)
        again()
      })
    }
  }

  #redistribute(from: string, left: Iterable<Waiting>): void {
    const broker = this.#broker
    for (const { message, group: key } of left) {
      const group = broker.router.groupOf(key!)
      const member = group === undefined ? undefined : pick(broker, group, message)
      if (member === undefined) {
        broker.drop(from, message, 'noMember')
        continue
      }
      // By the heir's own subscription, as if it had been picked first.
      const { subscriber, subscription } = member
      const qos = Math.min(message.qos, subscription.qos) as QoS
      this.deliverTo(subscriber, message, qos, subscription.retainAsPublished && message.retain, identifiersOf(member), key)
    }
  }

  #toTarget(message: Message, target: Target<Session>, publisher: Session | null, receipt: Receipt | null): Receipt | null {
    const session = target.subscriber
    let { qos, retainAsPublished, identifiers } = target
    if (target.noLocal && session === publisher) {
      const heard = target.subscriptions.filter(subscription => !subscription.noLocal) // [MQTT-3.8.3-3]
      if (heard.length === 0) return receipt
      qos = Math.max(...heard.map(subscription => subscription.qos)) as QoS
      retainAsPublished = heard.some(subscription => subscription.retainAsPublished)
      const own = heard.flatMap(subscription => (subscription.identifier > 0 ? [subscription.identifier] : []))
      identifiers = own.length > 0 ? own : null
    }
    if (message.qos < qos) qos = message.qos
    return this.#toSession(session, message, qos, retainAsPublished && message.retain, identifiers, null, receipt)
  }

  #toGroup(message: Message, group: ShareGroup<Session>, receipt: Receipt | null): Receipt | null {
    const member = pick(this.#broker, group, message)
    return member === undefined ? this.#toNobody(message, group.key, receipt) : this.#toMember(message, group.key, member, receipt)
  }

  #toNobody(message: Message, key: string, receipt: Receipt | null): Receipt | null {
    this.#broker.drop(key, message, 'noMember')
    return receipt
  }

  #toMember(message: Message, key: string, member: Member<Session>, receipt: Receipt | null): Receipt | null {
    const { subscriber, subscription } = member
    const qos = Math.min(message.qos, subscription.qos) as QoS
    const retain = subscription.retainAsPublished && message.retain
    return this.#toSession(subscriber, message, qos, retain, identifiersOf(member), key, receipt)
  }

  #toSession(
    session: Session,
    message: Message,
    qos: QoS,
    retain: boolean,
    identifiers: readonly number[] | null,
    group: string | null,
    receipt: Receipt | null,
  ): Receipt | null {
    if (session.elsewhere !== null && group !== null && (qos === 0 || !session.durable)) {
      return this.#broker.forwarder?.toMember(message, session, group, qos, receipt) ?? receipt
    }
    if (qos === 0 && !session.queuesQoS0) {
      session.deliverNow(message, retain, identifiers)
      return receipt
    }
    if (session.durable) {
      this.#targets.push(session.target(message, qos, retain, identifiers, group))
      this.#sessions.push(session)
    } else {
      session.deliver(message, qos, retain, identifiers, group)
    }
    if (session.crowded) {
      receipt ??= new Receipt()
      session.slow(receipt)
    }
    return receipt
  }

  /** Hands the collected targets to the store in one batch; what has a packet identifier leaves when they are kept. */
  #append(message: Message, received: ReceivedId | null, receipt: Receipt | null): Receipt | null {
    const broker = this.#broker
    // Without a target nobody keeps the message, so it need not be copied out of the read buffer: with a QoS 2 publisher's kept session 3 of
    // 15 µs a message of 1 KiB.
    if (this.#targets.length === 0) return heldBack(broker.sessions.append(message, noTargets, received), receipt)
    const targets = this.#targets
    const sessions = this.#sessions
    this.#targets = []
    this.#sessions = []
    const kept = (): void => {
      for (let i = 0; i < targets.length; i++) sessions[i]!.kept(targets[i]!)
    }
    const done = broker.sessions.append(message.own(), targets, received)
    if (done === undefined) {
      kept()
      return receipt
    }
    broker.storeTiming.follow(done)
    receipt ??= new Receipt()
    receipt.hold()
    const held = receipt
    done.then(
      () => {
        kept()
        held.release()
      },
      error => {
        for (let i = 0; i < targets.length; i++) {
          sessions[i]!.lost(message, targets[i]!)
          // No acknowledgement is withheld, so it will not be sent again.
          if (message.qos === 0) broker.drop(targets[i]!.clientId, message, 'storeFailed')
        }
        held.release(error instanceof Error ? error : new Error(String(error)))
      },
    )
    return receipt
  }
}

const noTargets: readonly AppendTarget[] = []

/** Keeps the acknowledgement back until the store is done. */
function heldBack(done: void | Promise<void>, receipt: Receipt | null): Receipt | null {
  if (done === undefined) return receipt
  const held = receipt ?? new Receipt()
  held.hold()
  done.then(
    () => held.release(),
    error => held.release(error instanceof Error ? error : new Error(String(error))),
  )
  return held
}

function identifiersOf({ subscription }: Member<Session>): readonly number[] | null {
  return subscription.identifier > 0 ? [subscription.identifier] : null
}

/** A plugin picks; where none has an opinion, the first member that is online does. */
function pick(broker: Broker, group: ShareGroup<Session>, message: Message): Member<Session> | undefined {
  const picked = broker.hooks.onShare.call(group, message) as Member<Session> | undefined
  return picked ?? group.members.find(member => member.subscriber.online) ?? group.members[0]
}

/** For types of plugins that look at a route. */
export type SessionRoute = Route<Session>
