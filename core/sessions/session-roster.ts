import type { Broker } from '../broker.ts'
import type { Client } from '../connection/client.ts'
import { ReasonCode } from '../reason.ts'
import type { Subscription } from '../routing/subscription.ts'
import { matches, parseShare } from '../routing/topic.ts'
import { Departures } from './departures.ts'
import type { Waiting } from './message-queue.ts'
import { Session } from './session.ts'
import type { Claim, EndedSession, SessionChange, SessionKey, StoredSubscriber } from './session-store.ts'

/** The sessions that this broker knows, with and without a connection, and how they begin, pass on and end. */
export class SessionRoster {
  readonly #broker: Broker
  readonly #sessions: Map<string, Session>
  readonly #turns: Map<string, Promise<void>>
  readonly departures: Departures

  constructor(broker: Broker) {
    this.#broker = broker
    this.#sessions = new Map()
    this.#turns = new Map()
    this.departures = new Departures(broker)
  }

  get size(): number {
    return this.#sessions.size
  }

  get(clientId: string): Session | undefined {
    return this.#sessions.get(clientId)
  }

  /** All of them. */
  sessions(): Iterable<Session> {
    return this.#sessions.values()
  }

  /** Takes up what is stored: subscriptions route from now on, though nobody has connected yet. */
  async load(): Promise<void> {
    for await (const subscriber of this.#broker.sessions.sessions()) this.found(subscriber)
  }

  /**
   * What the store says of the durable subscribers of a topic: those who are not connected here hold exactly that. Returns them.
   */
  refresh(topic: string, found: readonly StoredSubscriber[]): Session[] {
    const absent: Session[] = []
    const named = new Set<string>()
    for (const subscriber of found) {
      const { clientId, subscriptions, node = null, epoch = 0 } = subscriber
      named.add(clientId)
      const known = this.#sessions.get(clientId)
      if (known?.client != null) this.changed({ clientId, epoch, node })
      else if (known === undefined) this.#stored(clientId)
      const session = this.#sessions.get(clientId)!
      if (session.client !== null) continue
      if (epoch >= session.epoch) session.moved(node, epoch)
      this.#reconcile(session, subscriptions, topic)
      absent.push(session)
    }
    const { targets, groups } = this.#broker.router.route(topic)
    const stale = [...targets, ...groups.flatMap(({ members }) => members)].map(({ subscriber }) => subscriber)
    for (const session of new Set(stale)) {
      if (session.client === null && session.durable && !named.has(session.clientId)) this.#reconcile(session, [], topic)
    }
    return absent
  }

  /** A session that was looked up is needed no longer. */
  pass(session: Session): void {
    if (session.client === null && this.#sessions.get(session.clientId) === session) this.#forget(session)
  }

  /** One stored session; where a connection has its client id by now, that one's session is the newer. */
  found({ clientId, subscriptions, node = null, epoch = 0 }: StoredSubscriber): void {
    if (this.#broker.lookup !== null || this.#sessions.has(clientId)) return
    const session = this.#stored(clientId)
    session.moved(node, epoch)
    for (const subscription of subscriptions) this.subscribe(session, subscription)
  }

  #stored(clientId: string): Session {
    const session = new Session(this.#broker, clientId)
    session.durable = true
    this.#sessions.set(clientId, session)
    return session
  }

  /** Reads all stored sessions anew: what other nodes have done to them may have been missed. */
  async reload(): Promise<void> {
    const before = new Set<Session>()
    for (const session of this.#sessions.values()) if (session.durable && session.client === null) before.add(session)
    for await (const subscriber of this.#broker.sessions.sessions()) {
      const { clientId, subscriptions, node = null, epoch = 0 } = subscriber
      const known = this.#sessions.get(clientId)
      if (known !== undefined) before.delete(known)
      if (known === undefined) this.found(subscriber)
      else if (known.client !== null) this.changed({ clientId, epoch, node })
      else if (epoch >= known.epoch) {
        known.moved(node, epoch)
        this.#reconcile(known, subscriptions)
      }
    }
    for (const session of before) {
      if (session.client === null && this.#sessions.get(session.clientId) === session) this.#forget(session)
    }
  }

  /** Another node has done something to a stored session. */
  changed({ clientId, epoch, node, subscribed, unsubscribed }: SessionChange): void {
    let session = this.#sessions.get(clientId)
    if (session?.client != null) {
      if (session.durable ? epoch <= session.epoch : node === undefined || node === null) return
      if (!session.durable && !session.announced) {
        // Its connection is the later one, and a clean one: nothing stays stored under its name.
        this.#endStored(clientId)
        return
      }
      this.lose(session)
      session = this.#sessions.get(clientId)
    }
    // Where it is looked up when it is needed, nothing is kept of it.
    if (session === undefined && this.#broker.lookup !== null) return
    session ??= this.#stored(clientId)
    if (epoch < session.epoch) return
    if (node !== undefined) session.moved(node, epoch)
    for (const filter of unsubscribed ?? []) this.unsubscribe(session, filter)
    for (const subscription of subscribed ?? []) this.subscribe(session, subscription)
  }

  /** A stored session has ended at another node, or by its hand. */
  gone({ clientId, epoch }: SessionKey): void {
    const session = this.#sessions.get(clientId)
    if (session === undefined || !session.durable || epoch < session.epoch) return
    if (session.client !== null) this.lose(session)
    if (this.#sessions.get(clientId) === session) this.#forget(session)
  }

  /** Another node has this client now: the connection here ends. */
  lose(session: Session): void {
    const { client } = session
    if (client === null) return
    // Whoever claims a stored session has taken its will with it.
    if (session.durable) client.will = null
    client.close(ReasonCode.SessionTakenOver, 'another connection, at another broker, uses this client id')
  }

  #endStored(clientId: string): void {
    const node = this.#broker.settings.brokerId
    const request = { clientId, node, user: null, userOnly: false, cleanStart: true, expiryMs: 0, will: null }
    void Promise.resolve(this.#broker.sessions.claim(request)).then(
      ({ ended }) => ended !== null && this.sessionEnded(ended, null),
      error => this.#broker.troubles.say(error),
    )
  }

  // What the store says is what counts: of all subscriptions, or of those that match a topic.
  #reconcile(session: Session, subscriptions: readonly Subscription[], topic: string | null = null): void {
    const filters = new Set(subscriptions.map(({ filter }) => filter))
    const isAsked = (filter: string): boolean => topic === null || matches(parseShare(filter)?.filter ?? filter, topic)
    for (const filter of [...session.subscriptions.keys()]) if (!filters.has(filter) && isAsked(filter)) this.unsubscribe(session, filter)
    for (const subscription of subscriptions) {
      const held = session.subscriptions.get(subscription.filter)
      if (held === undefined || !isSame(held, subscription)) this.subscribe(session, subscription)
    }
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
    return this.#sessions.get(clientId)?.durable === true || this.departures.has(clientId)
  }

  /** Closes the connection that has this client id now [MQTT-3.1.4-3]. */
  takeOver(client: Client): void {
    this.#sessions.get(client.clientId)?.client?.close(ReasonCode.SessionTakenOver, 'another connection uses this client id')
  }

  /** The session of a client that is about to get its CONNACK: the one that was here, or a new one. */
  openSession(client: Client, claim: Claim, expiryMs: number): Session {
    const { clientId } = client
    this.departures.claimed(clientId)
    const known = this.#sessions.get(clientId)
    let session = claim.present ? known : undefined
    if (session === undefined) {
      if (known !== undefined) this.#forget(known)
      session = new Session(this.#broker, clientId)
      this.#sessions.set(clientId, session)
      for (const subscription of claim.subscriptions) this.subscribe(session, subscription)
    } else if (this.#broker.forwarder !== null) {
      // Another node may have had it meanwhile.
      this.#reconcile(session, claim.subscriptions)
    }
    session.open(client, claim, expiryMs)
    return session
  }

  /** A connection has ended: its session is parked or ends with it, its will is sent or kept. */
  leave(session: Session, client: Client, publishWill: boolean): void {
    const { will } = client
    client.will = null
    this.#broker.forwarder?.disconnected(session)
    for (const filter of session.temporary ?? []) this.unsubscribe(session, filter)
    session.temporary = null
    if (session.durable && session.expiryMs > 0) {
      session.park()
      // One without a delay goes out here and now, before the next owner's claim can overwrite it in the store.
      const due = publishWill && will?.delayMs === 0 ? will : null
      if (due !== null) this.#broker.wills.publish(client.clientId, due)
      this.departures.close(session, publishWill && due === null)
      return
    }
    if (session.durable) this.#end(session)
    else this.#endLocal(session)
    if (publishWill && will !== null) this.#broker.wills.publish(client.clientId, will)
  }

  // A session that ends with its connection.
  #endLocal(session: Session): void {
    const shared = session.takeShared()
    session.park()
    this.#forget(session)
    this.#broker.dispatcher.redistribute(session.clientId, shared)
  }

  // A durable session whose expiry has become 0.
  #end(session: Session): void {
    session.park()
    // It gets nothing more while the store is at it: what a group sends now goes to the others.
    this.#forget(session)
    // Its will is the caller's to send, from the connection that has just ended.
    this.departures.end(session, ended => this.sessionEnded({ ...ended, will: null }, session))
  }

  /** A stored session is no more. */
  sessionEnded(ended: EndedSession, known: Session | null): void {
    const session = known ?? this.#sessions.get(ended.clientId)
    if (session !== undefined && session.client === null) this.#forget(session)
    const left: Waiting[] = []
    for (const { message, qos, retain, identifiers, group, packetId, released } of ended.shared) {
      if (released) continue // It has the message: PUBREC said so.
      if (qos === 2 && packetId !== 0)
        this.#broker.drop(ended.clientId, message, 'noMember') // [MQTT-4.8.2-5]
      else left.push({ message, qos, retain, identifiers, group })
    }
    this.#broker.dispatcher.redistribute(ended.clientId, left)
    if (ended.will !== null) this.#broker.wills.publish(ended.clientId, ended.will)
    this.#broker.hooks.onSessionExpired.call(ended.clientId)
  }

  #forget(session: Session): void {
    for (const filter of session.subscriptions.keys()) this.#broker.router.unsubscribe(session, filter)
    session.subscriptions.clear()
    if (this.#sessions.get(session.clientId) === session) this.#sessions.delete(session.clientId)
  }

  subscribe(session: Session, subscription: Subscription): void {
    // It may have ended while the store was asked.
    if (this.#sessions.get(session.clientId) !== session) return
    const { forwarder } = this.#broker
    if (forwarder !== null && session.client !== null)
      forwarder.subscribed(session, subscription, session.subscriptions.get(subscription.filter))
    session.subscriptions.set(subscription.filter, subscription)
    this.#broker.router.subscribe(session, subscription)
  }

  /** Takes away what a client may no longer have subscribed to; nobody asked for it, so nobody is answered. */
  revoke(session: Session, filters: readonly string[]): void {
    const { client } = session
    const held = filters.filter(filter => session.subscriptions.has(filter))
    if (held.length === 0) return
    for (const filter of held) {
      session.temporary?.delete(filter)
      this.unsubscribe(session, filter)
    }
    if (session.durable) session.write(this.#broker.sessions.unsubscribe(session, held))
    this.#broker.log.info({ clientId: session.clientId, filters: held.slice(0, 10), count: held.length }, 'subscriptions taken away')
    const { onUnsubscribed } = this.#broker.hooks
    if (client?.state === 'connected' && onUnsubscribed.isUsed()) for (const filter of held) onUnsubscribed.call(client, { filter })
  }

  unsubscribe(session: Session, filter: string): void {
    const { forwarder } = this.#broker
    if (forwarder !== null && session.client !== null) {
      const held = session.subscriptions.get(filter)
      if (held !== undefined) forwarder.unsubscribed(session, held)
    }
    session.subscriptions.delete(filter)
    this.#broker.router.unsubscribe(session, filter)
  }
}

function isSame(a: Subscription, b: Subscription): boolean {
  return (
    a.qos === b.qos &&
    a.noLocal === b.noLocal &&
    a.retainAsPublished === b.retainAsPublished &&
    a.retainHandling === b.retainHandling &&
    a.identifier === b.identifier
  )
}
