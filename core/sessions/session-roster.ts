import type { Connection } from '../connection/connection.ts'
import type { Log } from '../log.ts'
import { ReasonCode } from '../reason.ts'
import { DeliveryTerms } from '../routing/delivery-terms.ts'
import type { Router } from '../routing/router.ts'
import type { Subscription } from '../routing/subscription.ts'
import { KnownSession, type SessionHost } from './known-session.ts'
import type { QueuedDelivery } from './message-queue.ts'
import { SessionEndings } from './session-endings.ts'
import type { Claim, EndedSession, StoredWill } from './session-store.ts'

/** What the roster uses of the broker. */
export interface RosterHost extends SessionHost {
  readonly log: Log
  readonly router: Router<KnownSession>
  clientOf(clientId: string): Connection | undefined
  publishWill(clientId: string, will: StoredWill): void
  report(error: unknown): void
}

/** The sessions that this broker knows, with and without a connection, and how they begin, pass on and end. */
export class SessionRoster {
  readonly #host: RosterHost
  readonly #sessions = new Map<string, KnownSession>()
  readonly #turns = new Map<string, Promise<void>>()
  readonly #endings: SessionEndings

  constructor(host: RosterHost) {
    this.#host = host
    this.#endings = new SessionEndings(host)
  }

  get size(): number {
    return this.#sessions.size
  }

  get(clientId: string): KnownSession | undefined {
    return this.#sessions.get(clientId)
  }

  /** All of them. */
  all(): Iterable<KnownSession> {
    return this.#sessions.values()
  }

  /** A new session under a client id, in place of any that was known. */
  add(clientId: string): KnownSession {
    const session = new KnownSession(this.#host, clientId)
    this.#sessions.set(clientId, session)
    return session
  }

  /** Runs one at a time for each client id. */
  inTurn(clientId: string, run: () => Promise<void>): Promise<void> {
    const before = this.#turns.get(clientId)
    const turn = before === undefined ? run() : before.then(run)
    const settled = turn.then(
      () => {},
      () => {},
    )
    this.#turns.set(clientId, settled)
    settled.then(() => {
      if (this.#turns.get(clientId) === settled) this.#turns.delete(clientId)
    })
    return turn
  }

  /** A stored session has this client id, whether it is connected or not. */
  holds(clientId: string): boolean {
    return this.#sessions.get(clientId)?.durable === true || this.#endings.has(clientId)
  }

  /** Closes the connection that has this client id now [MQTT-3.1.4-3]. */
  takeOver(clientId: string): void {
    this.#sessions.get(clientId)?.client?.close(ReasonCode.SessionTakenOver, 'another connection uses this client id')
  }

  /** Another node has this client now: the connection here ends. `withoutWill`: what it has published there since must not be followed by the will. */
  lose(session: KnownSession, withoutWill = false): void {
    const { client } = session
    if (client === null) return
    // To one that waits for its CONNACK this is the answer.
    if (client.state !== 'connected') return client.refuse({ reasonCode: ReasonCode.ServerUnavailable, reasonString: 'claimed elsewhere' })
    if (withoutWill && client.will !== null && !session.durable) this.#host.drop(client.clientId, client.will.message, 'refused')
    // Whoever claims a stored session has taken its will with it.
    if (withoutWill || session.durable) client.will = null
    client.close(ReasonCode.SessionTakenOver, 'another connection, at another broker, uses this client id')
  }

  /** The session of a client that is about to get its CONNACK: the one that was here, or a new one. */
  openSession(client: Connection, claim: Claim, expiryMs: number): KnownSession {
    const { clientId } = client
    this.#endings.claimed(clientId)
    const known = this.#sessions.get(clientId)
    let session = claim.present ? known : undefined
    if (session === undefined) {
      if (known !== undefined) this.forget(known)
      session = this.add(clientId)
      this.reconcile(session, claim.subscriptions)
    } else if (this.#host.hooks.onSessionOpened.isUsed()) {
      // Somebody connects nodes, so another node may have had it meanwhile.
      this.reconcile(session, claim.subscriptions)
    }
    session.open(client, claim, expiryMs)
    return session
  }

  /** What the store says is what counts: of all subscriptions, or of those that `isAsked` picks. */
  reconcile(session: KnownSession, subscriptions: readonly Subscription[], isAsked: (filter: string) => boolean = () => true): void {
    if (session.subscriptions.size > 0) {
      const filters = new Set(subscriptions.map(({ filter }) => filter))
      for (const filter of [...session.subscriptions.keys()]) if (!filters.has(filter) && isAsked(filter)) this.unsubscribe(session, filter)
    }
    for (const subscription of subscriptions) {
      const held = session.subscriptions.get(subscription.filter)
      if (held === undefined || !isSame(held, subscription)) this.subscribe(session, subscription)
    }
  }

  /** A connection has ended: its session is parked or ends with it, its will is sent or kept. */
  leave(session: KnownSession, client: Connection, publishWill: boolean): void {
    const { will } = client
    client.will = null
    this.#host.hooks.onSessionClosed.call(session)
    for (const filter of session.temporary ?? []) this.unsubscribe(session, filter)
    session.temporary = null
    if (session.durable && session.expiryMs > 0) {
      session.park()
      // One without a delay goes out here and now, before the next owner's claim can overwrite it in the store.
      const due = publishWill && will?.delayMs === 0 ? will : null
      if (due !== null) this.#host.publishWill(client.clientId, due)
      this.#endings.close(session, publishWill && due === null)
      return
    }
    if (session.durable) this.#end(session)
    else this.#endLocal(session)
    if (publishWill && will !== null) this.#host.publishWill(client.clientId, will)
  }

  // A session that ends with its connection.
  #endLocal(session: KnownSession): void {
    const shared = session.leaveShared()
    session.park()
    this.forget(session)
    this.#host.redistribute(session.clientId, shared)
  }

  // A durable session whose expiry has become 0.
  #end(session: KnownSession): void {
    session.park()
    // It gets nothing more while the store is at it: what a group sends now goes to the others.
    this.forget(session)
    // Its will is the caller's to send, from the connection that has just ended.
    this.#endings.end(session, ended => this.ended({ ...ended, will: null }, session))
  }

  /** A stored session is no more. */
  ended(ended: EndedSession, known: KnownSession | null): void {
    const session = known ?? this.#sessions.get(ended.clientId)
    // Its end may be handed out late, by a store that could not finish it before: another session may have begun since.
    const isLater = session !== undefined && session.epoch > (ended.epoch ?? Number.POSITIVE_INFINITY)
    if (session !== undefined && session.client === null && !isLater) this.forget(session)
    const left: QueuedDelivery[] = []
    for (const { message, qos, retain, identifiers, group, packetId, released } of ended.shared) {
      if (released) continue // The client has the message: PUBREC said so.
      if (qos === 2 && packetId !== 0)
        this.#host.drop(ended.clientId, message, 'noMember') // [MQTT-4.8.2-5]
      else left.push({ message, terms: new DeliveryTerms(qos, retain, identifiers, group) })
    }
    this.#host.redistribute(ended.clientId, left)
    if (ended.will !== null) this.#host.publishWill(ended.clientId, ended.will)
    this.#host.hooks.onSessionExpired.call(ended.clientId)
  }

  /** Tells the store again what it did not take of sessions that have closed or ended. */
  retryEndings(): void {
    this.#endings.retry()
  }

  /** Knows nothing of a session any more: no message goes to it. */
  forget(session: KnownSession): void {
    for (const filter of session.subscriptions.keys()) this.#host.router.unsubscribe(session, filter)
    session.subscriptions.clear()
    session.shared = 0
    if (this.#sessions.get(session.clientId) === session) this.#sessions.delete(session.clientId)
  }

  subscribe(session: KnownSession, subscription: Subscription): void {
    // It may have ended while the store was asked.
    if (this.#sessions.get(session.clientId) !== session) return
    const { onRoutesChanged } = this.#host.hooks
    if (session.client !== null && onRoutesChanged.isUsed())
      onRoutesChanged.call(session, subscription, session.subscriptions.get(subscription.filter) ?? null)
    if (isShared(subscription.filter) && !session.subscriptions.has(subscription.filter)) session.shared += 1
    session.subscriptions.set(subscription.filter, subscription)
    if (subscription.requested !== undefined) (session.renamed ??= new Map()).set(subscription.requested, subscription.filter)
    this.#host.router.subscribe(session, subscription)
  }

  unsubscribe(session: KnownSession, filter: string): void {
    const { onRoutesChanged } = this.#host.hooks
    const held = session.subscriptions.get(filter)
    if (held !== undefined && session.client !== null && onRoutesChanged.isUsed()) onRoutesChanged.call(session, null, held)
    if (held?.requested !== undefined && session.renamed?.get(held.requested) === filter) session.renamed.delete(held.requested)
    if (session.subscriptions.delete(filter) && isShared(filter)) session.shared -= 1
    this.#host.router.unsubscribe(session, filter)
  }

  /** Takes away what a client may no longer have subscribed to; nobody asked for it, so nobody is answered. */
  revoke(session: KnownSession, filters: readonly string[]): void {
    const { client } = session
    const lost = filters.flatMap(filter => session.subscriptions.get(filter) ?? [])
    if (lost.length === 0) return
    const held = lost.map(({ filter }) => filter)
    for (const filter of held) {
      session.temporary?.delete(filter)
      this.unsubscribe(session, filter)
    }
    if (session.durable) session.write(this.#host.sessions.unsubscribe(session, held))
    this.#host.log.info({ clientId: session.clientId, filters: held.slice(0, 10), count: held.length }, 'subscriptions taken away')
    const { onUnsubscribed } = this.#host.hooks
    if (client?.state === 'connected' && onUnsubscribed.isUsed())
      for (const { filter, requested = filter } of lost) onUnsubscribed.call(client, { requested, filter })
  }
}

const isShared = (filter: string): boolean => filter.startsWith('$share/')

function isSame(a: Subscription, b: Subscription): boolean {
  return (
    a.qos === b.qos &&
    a.noLocal === b.noLocal &&
    a.retainAsPublished === b.retainAsPublished &&
    a.retainHandling === b.retainHandling &&
    a.identifier === b.identifier &&
    a.requested === b.requested
  )
}
