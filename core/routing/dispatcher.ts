import type { Connection } from '../connection/connection.ts'
import type { Hooks } from '../hooks.ts'
import type { Message } from '../messages/message.ts'
import { Receipt } from '../messages/receipt.ts'
import type { KnownSession } from '../sessions/known-session.ts'
import type { QueuedDelivery } from '../sessions/message-queue.ts'
import type { AppendTarget, ReceivedId, SessionStore } from '../sessions/session-store.ts'
import type { Timings } from '../timings.ts'
import { DeliveryTerms } from './delivery-terms.ts'
import type { Router } from './router.ts'
import type { Member, ShareGroup } from './share-group.ts'
import type { Route, Target } from './target.ts'

/** What the dispatcher uses of the broker. */
export interface DispatcherHost {
  readonly hooks: Hooks
  /** Kept beside the hooks, so that the hot path asks a field. */
  readonly routeUsed: boolean
  readonly router: Router<KnownSession>
  readonly sessions: SessionStore
  readonly matchUsed: boolean
  readonly timings: Timings
  sessionOf(clientId: string): KnownSession | undefined
  drop(clientId: string, message: Message, reason: 'noMember' | 'storeFailed'): void
  report(error: unknown): void
}

/** The member of a shared group, `$share/{name}/{filter}`, that gets a message. */
export interface PickedMember {
  /** The whole filter of the group, `$share/{name}/{filter}`. */
  readonly group: string
  /** The client id of the member. */
  readonly clientId: string
}

// What a publisher need not wait for, though nobody has subscribed.
const unmatched = new Receipt()
unmatched.release()

/** Brings each accepted message to everybody who is to have it. */
export class Dispatcher {
  readonly #host: DispatcherHost

  constructor(host: DispatcherHost) {
    this.#host = host
  }

  /**
   * Routes a message. `publisher` is left out of its own No Local subscriptions; `received` is remembered in the same batch. Returns
   * what the acknowledgement waits for, null where that is nothing; its `matched` is false where nobody has subscribed.
   */
  dispatch(message: Message, publisher: KnownSession | null, received: ReceivedId | null): Receipt | null {
    const route = this.#host.router.route(message.topic)
    const dispatch = new Dispatch(message, this.#routed(message, route), publisher?.client)
    const { targets, groups } = route
    try {
      for (let i = 0; i < targets.length; i++) this.#toTarget(dispatch, targets[i]!, publisher)
      for (let i = 0; i < groups.length; i++) this.#toGroup(dispatch, groups[i]!)
    } catch (error) {
      dispatch.abandon()
      throw error
    }
    if (dispatch.targets !== null || received !== null) this.#append(dispatch, received)
    this.#count(targets.length + groups.length)
    const { receipt } = dispatch
    const matched = targets.length > 0 || groups.length > 0
    if (receipt === null) return matched ? null : unmatched
    if (matched) receipt.matched = true
    receipt.release()
    return receipt.matched && receipt.settled && receipt.error === undefined ? null : receipt
  }

  /** Tells whoever looks at routes, and returns the receipt by which they hold the acknowledgement; null where nobody looks. */
  #routed(message: Message, route: Route<KnownSession>): Receipt | null {
    if (!this.#host.routeUsed) return null
    const receipt = new Receipt()
    this.#host.hooks.onRoute.call(message, route, receipt)
    return receipt
  }

  /**
   * What another node has accepted and kept: it goes to those who are connected here. Where the store keeps it for one of them, that node
   * has seen to it; of shared groups it names the members that it has picked.
   */
  receive(message: Message, plain: boolean, picked: readonly PickedMember[]): void {
    const route = this.#host.router.route(message.topic)
    const dispatch = new Dispatch(message, this.#routed(message, route))
    try {
      const publisher = this.#host.sessionOf(message.clientId) ?? null
      for (const target of plain ? route.targets : []) {
        const { client, durable } = target.subscriber
        if (client !== null && !(durable && Math.min(message.qos, target.qos) > 0)) this.#toTarget(dispatch, target, publisher)
      }
      for (const { group, clientId } of picked) this.#toPicked(dispatch, group, clientId)
    } catch (error) {
      dispatch.abandon()
      throw error
    }
    if (dispatch.targets !== null) this.#append(dispatch, null)
    this.#count(plain ? route.targets.length + picked.length : picked.length)
    dispatch.receipt?.release()
  }

  #count(receivers: number): void {
    if (receivers > manyReceivers) this.#host.router.spend(receivers)
  }

  #toPicked(dispatch: Dispatch, key: string, clientId: string): void {
    const group = this.#host.router.groupOf(key)
    const member = group?.members.find(({ subscriber }) => subscriber.clientId === clientId && subscriber.client !== null)
    if (member !== undefined) this.#toSession(dispatch, member.subscriber, termsOfMember(dispatch.message, member, key))
    // It has gone meanwhile: somebody else of its group.
    else if (group !== undefined) this.#toGroup(dispatch, group)
    else this.#host.drop(key, dispatch.message, 'noMember')
  }

  /** A message that goes nowhere, of which only the QoS 2 identifier is remembered. */
  remember(message: Message, received: ReceivedId | null): Receipt | null {
    if (received === null) return null
    const dispatch = new Dispatch(message, null)
    this.#append(dispatch, received)
    dispatch.receipt?.release()
    return dispatch.receipt
  }

  /** One message to one session that asked for it: a retained message, an answer, a group's message that a member left behind. */
  deliverTo(session: KnownSession, message: Message, terms: DeliveryTerms): void {
    const dispatch = new Dispatch(message, null)
    this.#toSession(dispatch, session, terms)
    if (dispatch.targets === null) return
    this.#append(dispatch, null)
    const { receipt } = dispatch
    receipt?.release()
    // Nobody will send this again.
    receipt?.onSettled(error => error !== undefined && this.#host.drop(session.clientId, message, 'storeFailed'))
  }

  /** What a member that is gone for good has left goes to the others of its group, or to nobody. */
  redistribute(from: string, left: Iterable<QueuedDelivery>): void {
    const { matchUsed, hooks } = this.#host
    if (!matchUsed) return this.#redistribute(from, left)
    for (const delivery of left) {
      hooks.onMatch.callAsync(delivery.message, null, (_error, failure) => {
        if (failure !== undefined) this.#host.report(failure)
        this.#redistribute(from, [delivery])
      })
    }
  }

  #redistribute(from: string, left: Iterable<QueuedDelivery>): void {
    for (const { message, terms } of left) {
      const group = this.#host.router.groupOf(terms.group!)
      const member = group === undefined ? undefined : this.#pick(group, message)
      // By the heir's own subscription, as if it had been picked first.
      if (member !== undefined) this.deliverTo(member.subscriber, message, termsOfMember(message, member, group!.key))
      else this.#host.drop(from, message, 'noMember')
    }
  }

  #toTarget(dispatch: Dispatch, target: Target<KnownSession>, publisher: KnownSession | null): void {
    const { message } = dispatch
    if (target.noLocal && target.subscriber === publisher && !publisher.plain) {
      const others = target.withoutNoLocal() // [MQTT-3.8.3-3]
      if (others !== null) this.#toSession(dispatch, publisher, termsOf(message, others))
      return
    }
    this.#toSession(dispatch, target.subscriber, termsOf(message, target))
  }

  #toGroup(dispatch: Dispatch, group: ShareGroup<KnownSession>): void {
    const member = this.#pick(group, dispatch.message)
    if (member === undefined) this.#host.drop(group.key, dispatch.message, 'noMember')
    else this.#toSession(dispatch, member.subscriber, termsOfMember(dispatch.message, member, group.key))
  }

  #toSession(dispatch: Dispatch, session: KnownSession, terms: DeliveryTerms): void {
    const { message } = dispatch
    const { qos } = terms
    if (session.node !== null && terms.group !== null && (qos === 0 || !session.durable)) return this.#forward(dispatch, session, terms)
    if (qos === 0 && !session.queuesQoS0) return session.deliverNow(message, terms)
    if (session.durable) dispatch.add(session, session.reserve(message, terms))
    else session.deliver(message, terms)
    if (session.crowds(dispatch.publisher)) session.slow((dispatch.receipt ??= new Receipt()), dispatch.publisher)
  }

  /** The member is connected at another node: whoever connects nodes brings it the message, and holds the receipt until it is there. */
  #forward(dispatch: Dispatch, session: KnownSession, { qos, group }: DeliveryTerms): void {
    const { onForward } = this.#host.hooks
    if (!onForward.isUsed()) return
    const receipt = qos === 0 ? null : (dispatch.receipt ??= new Receipt())
    onForward.call(dispatch.message, { clientId: session.clientId, group: group!, node: session.node!, qos }, receipt)
  }

  /** A plugin picks, where there are several; where none has an opinion, the first member that is online does. */
  #pick(group: ShareGroup<KnownSession>, message: Message): Member<KnownSession> | undefined {
    const { members } = group
    // Asking was 60 % of what a message costs for each group of one (20,000 of them: 10 ms, now 4).
    if (members.length === 1) return members[0]
    const picked = this.#host.hooks.onShare.call(group, message) as Member<KnownSession> | undefined
    return picked ?? members.find(member => member.subscriber.online) ?? members[0]
  }

  /** Hands the collected targets to the store in one batch; what has a packet identifier leaves when they are kept. */
  #append(dispatch: Dispatch, received: ReceivedId | null): void {
    const { message, targets } = dispatch
    const { sessions } = this.#host
    // Without a target nobody keeps the message, so it need not be copied out of the read buffer: with a QoS 2 publisher's kept session 3 of
    // 15 µs a message of 1 KiB.
    const done = targets === null ? sessions.append(message, noTargets, received) : sessions.append(message.own(), targets, received)
    if (done === undefined) return dispatch.kept()
    this.#host.timings.store.follow(done)
    const receipt = (dispatch.receipt ??= new Receipt())
    receipt.hold()
    done.then(
      () => {
        dispatch.kept()
        receipt.release()
      },
      error => {
        dispatch.abandon()
        // No acknowledgement is withheld, so it will not be sent again.
        if (message.qos === 0) for (const { clientId } of targets ?? noTargets) this.#host.drop(clientId, message, 'storeFailed')
        receipt.release(error instanceof Error ? error : new Error(String(error)))
      },
    )
  }
}

// A message to so many is work that others should not wait for again and again in one turn; to fewer it is not worth counting.
const manyReceivers = 64
const noTargets: readonly never[] = []

/** How a target gets a message. Messages of a topic seldom differ in QoS and RETAIN flag, so the last answer is kept. */
function termsOf({ qos, retain }: Message, target: Target<KnownSession>): DeliveryTerms {
  if (qos > target.qos) qos = target.qos
  retain = retain && target.retainAsPublished && !target.subscriber.plain
  const last = target.lastTerms
  if (last !== null && last.qos === qos && last.retain === retain) return last
  return (target.lastTerms = new DeliveryTerms(qos, retain, target.identifiers, null))
}

function termsOfMember({ qos, retain }: Message, member: Member<KnownSession>, group: string): DeliveryTerms {
  const { subscription } = member
  if (qos > subscription.qos) qos = subscription.qos
  retain = retain && subscription.retainAsPublished && !member.subscriber.plain
  const last = member.lastTerms
  if (last !== null && last.qos === qos && last.retain === retain) return last
  const identifiers = subscription.identifier > 0 ? [subscription.identifier] : null
  return (member.lastTerms = new DeliveryTerms(qos, retain, identifiers, group))
}

/** One message on its way to all who are to have it: what its acknowledgement waits for, and the stored sessions among its receivers. */
class Dispatch {
  readonly message: Message
  receipt: Receipt | null
  /** For the store; null where no stored session is to have it. */
  targets: AppendTarget[] | null
  /** The connection that it came by; null where nothing is acknowledged there. */
  readonly publisher: Connection | null
  #sessions: KnownSession[] | null

  constructor(message: Message, receipt: Receipt | null, publisher: Connection | null = null) {
    this.message = message
    this.receipt = receipt
    this.targets = null
    this.publisher = message.qos > 0 ? publisher : null
    this.#sessions = null
  }

  add(session: KnownSession, target: AppendTarget): void {
    if (this.targets === null) {
      this.targets = [target]
      this.#sessions = [session]
    } else {
      this.targets.push(target)
      this.#sessions!.push(session)
    }
  }

  /** The store keeps it for all of them. */
  kept(): void {
    const { targets } = this
    if (targets === null) return
    const sessions = this.#sessions!
    for (let i = 0; i < targets.length; i++) sessions[i]!.kept(targets[i]!)
  }

  /** The store does not keep it, or was never asked: their packet identifiers are free again. */
  abandon(): void {
    const { targets } = this
    if (targets === null) return
    const sessions = this.#sessions!
    for (let i = 0; i < targets.length; i++) sessions[i]!.lost(this.message, targets[i]!)
  }
}
