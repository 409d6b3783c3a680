// Why it is long: what one session has in flight, waiting and half-done is one state; its window, queue, backlog and brake stand in files of their own.
import type { Session } from '../connection/client.ts'
import type { Connection } from '../connection/connection.ts'
import type { DropReason } from '../counter-names.ts'
import type { Hooks } from '../hooks.ts'
import type { Message } from '../messages/message.ts'
import type { Receipt } from '../messages/receipt.ts'
import type { Settings } from '../options/settings.ts'
import type { Rights } from '../publisher.ts'
import type { DeliveryTerms } from '../routing/delivery-terms.ts'
import type { Subscription } from '../routing/subscription.ts'
import { MessageQueue, type QueuedDelivery } from './message-queue.ts'
import { type Line, PublisherBrake } from './publisher-brake.ts'
import type { AppendTarget, Claim, QueueLimits, SessionStore } from './session-store.ts'
import { StoredBacklog } from './stored-backlog.ts'
import { Handshake, type Inflight, Window } from './window.ts'

/** What became of an inbound QoS 2 message: still being judged, or the reason code of its PUBREC. */
export type Received = 'pending' | number

/** What a session uses of the broker. */
export interface SessionHost {
  readonly hooks: Hooks
  readonly settings: Settings
  readonly sessions: SessionStore
  readonly queueLimits: QueueLimits
  /** Sessions whose publishers are being slowed. */
  readonly slowedSessions: Set<KnownSession>
  /** The coarse clock. */
  readonly now: number
  drop(clientId: string, message: Message, reason: DropReason): void
  storeFailed(session: KnownSession, error: unknown, client: Connection | null): void
  /** Whether a message that waited for a session may still go to its client. */
  mayReceive(session: KnownSession, message: Message, group: string | null): boolean
  /** What a member of a shared group has left goes to the others of its group, or to nobody. */
  redistribute(from: string, left: Iterable<QueuedDelivery>): void
}

// A reader that acknowledges nothing slows its publishers for so long.
const slowPublishersMs = 10_000

/**
 * What the broker knows of one client beyond its connection: subscriptions, messages in flight and waiting, QoS 2 state. A
 * session that outlives its connection is kept by the `sessions` service too, and nothing leaves the socket before the
 * service has said so; one that does not lives here only.
 */
export class KnownSession implements Session {
  readonly clientId: string
  readonly #host: SessionHost
  node: string | null = null
  /** All nodes, this one too, have heard of its connection: one that is announced later takes its place. */
  announced = false
  client: Connection | null = null
  /** The user that the session belongs to. */
  owner: string | null = null
  /** The user name of its client, which may have authenticated as another user since. */
  username: string | null = null
  rights: Rights | null = null
  mountPoint = ''
  /** It has had a connection here: only then do the three above say anything. */
  seen = false
  /** Its client speaks a version without options of subscriptions: those that it gave before, with MQTT 5, do nothing while it is connected. */
  plain = false
  durable = false
  epoch = 0
  expiryMs = 0
  readonly subscriptions = new Map<string, Subscription>()
  /** Filters of subscriptions that their client knows by another one; null: there never was any. */
  renamed: Map<string, string> | null = null
  /** How many of them are shared. */
  shared = 0
  /** Filters that go with the connection, whatever becomes of the session. */
  temporary: Set<string> | null = null
  /** QoS 2 identifiers from the client, from PUBLISH until PUBREL [MQTT-4.3.3-10]. */
  received: Map<number, Received> | null = null
  /** Told when a QoS 2 message is judged that the client has sent again meanwhile; null: it was not kept. */
  joined: Map<number, ((reasonCode: number | null) => void)[]> | null = null
  window: Window | null = null
  /** Messages for which the window has no room. */
  queue: MessageQueue<QueuedDelivery> | null = null
  /** The same for a durable session: they wait in the store. */
  backlog: StoredBacklog | null = null
  // Packet identifiers whose messages the client may no longer have, while the store is at them.
  #retracted: Set<number> | null = null
  /** Slows those who publish to it, once messages have waited here or in the store. */
  #brake: PublisherBrake | null = null

  constructor(host: SessionHost, clientId: string) {
    this.clientId = clientId
    this.#host = host
  }

  /** The filter of the subscription that the client knows by this one; undefined: it has none. */
  heldAs(requested: string): string | undefined {
    const filter = this.renamed?.get(requested) ?? requested
    const held = this.subscriptions.get(filter)
    return held !== undefined && (held.requested ?? filter) === requested ? filter : undefined
  }

  get kind(): 'session' {
    return 'session'
  }

  get online(): boolean {
    return this.client !== null || this.node !== null
  }

  /** Its client is, or was, another node's: what is remembered here of the time before says nothing any more. */
  moved(node: string | null, epoch: number): void {
    this.node = node
    this.epoch = epoch
    this.received = null
    this.joined = null
  }

  /** Takes up a stored session, or begins a new one, for a connection that is about to be told. */
  open(client: Connection, claim: Claim, expiryMs: number): void {
    this.client = client
    this.node = null
    this.announced = false
    this.owner = client.username
    this.username = client.username
    this.rights = client.rights
    this.mountPoint = client.mountPoint
    this.seen = true
    this.plain = client.version < 5 && !client.bridge
    this.epoch = claim.epoch
    // One that was stored stays so until it ends, even where this connection asked for no expiry.
    this.durable = expiryMs > 0 || claim.present
    this.expiryMs = expiryMs
    this.window = new Window(client.inflightMax)
    this.backlog = this.durable ? new StoredBacklog(this, this.#host) : null
    if (claim.present) this.backlog?.resume(claim.queued)
    if (this.durable) this.received = receivedOf(claim.receivedIds, this.received)
  }

  /** The connection has gone. What was in flight is the store's to remember. */
  park(): void {
    this.client = null
    this.plain = false
    this.window = null
    this.#retracted = null
    this.backlog?.stop()
    this.backlog = null
    this.#releasePublishers()
  }

  /** QoS 0: now or never. */
  deliverNow(message: Message, terms: DeliveryTerms): void {
    const { client } = this
    if (client === null) {
      // The node that has its client was sent the message by the filter.
      if (this.node === null) this.#host.drop(this.clientId, message, 'offline')
    } else if (client.outbox.blocked && (client.state === 'connecting' || client.slow(message))) {
      // Before its CONNACK a client is sent nothing.
      this.#host.drop(this.clientId, message, client.state === 'connecting' ? 'offline' : 'slowReader')
    } else {
      client.sender.publish(message, terms, 0, false)
    }
  }

  /** QoS 1 and 2 for a session that ends with its connection. */
  deliver(message: Message, terms: DeliveryTerms): void {
    const { client, window } = this
    if (client === null || window === null) {
      this.#host.drop(this.clientId, message, 'offline')
    } else if (window.hasRoom && !client.outbox.blocked && (this.queue === null || this.queue.length === 0)) {
      this.transmit(window.open().fill(message, terms), false)
    } else {
      this.#enqueue({ message: message.own(), terms })
    }
  }

  /** QoS 1 and 2 for a durable session: takes a packet identifier while the window has room, and returns what the store is to keep. */
  reserve(message: Message, terms: DeliveryTerms): AppendTarget {
    const { client, window, backlog, clientId, epoch } = this
    const { qos, retain, identifiers, group } = terms
    if (backlog !== null) {
      backlog.added(message, identifiers)
      this.#brake ??= this.#newBrake(backlog)
    }
    if (
      client === null ||
      window === null ||
      backlog === null ||
      qos === 0 ||
      backlog.waiting ||
      !window.hasRoom ||
      client.outbox.blocked
    ) {
      backlog?.appended()
      return { clientId, qos, retain, identifiers, group, packetId: 0, epoch }
    }
    const { packetId } = window.open().fill(message, terms)
    return { clientId, qos, retain, identifiers, group, packetId, epoch }
  }

  /** The store keeps it: a message with a packet identifier goes out [gate: PUBLISH], unless that was an earlier connection's. */
  kept({ packetId, epoch }: AppendTarget): void {
    if (packetId !== 0 && epoch === this.epoch) this.gateOpens(packetId)
    else this.backlog?.pump()
  }

  /** The packet identifier is kept. */
  gateOpens(packetId: number): void {
    const slot = this.window?.find(packetId)
    if (slot === undefined || slot.handshake !== Handshake.Gated) return
    if (this.#retracted?.delete(packetId)) return this.#retract(slot)
    // Where it did not go out after all, what waits behind it must not wait for its acknowledgement.
    if (!this.transmit(slot, false)) this.pump()
  }

  /** The store did not keep it: the identifier is free again. */
  lost(message: Message, { packetId, epoch, identifiers }: AppendTarget): void {
    if (epoch !== this.epoch) return
    this.#retracted?.delete(packetId)
    this.backlog?.removed(message, identifiers)
    const slot = packetId === 0 ? undefined : this.window?.find(packetId)
    if (slot === undefined || slot.handshake !== Handshake.Gated) return
    this.window!.close(slot)
    this.pump()
  }

  /** Its client may have less than before: what waits for it is looked at again. What has left is the client's. */
  recheck(): void {
    if (!this.#host.hooks.onAuthorize.isUsed()) return
    this.backlog?.recheck()
    for (const { handshake, message, terms, packetId } of this.window?.entries() ?? []) {
      if (handshake !== Handshake.Gated || this.#host.mayReceive(this, message!, terms!.group)) continue
      this.#retracted ??= new Set()
      this.#retracted.add(packetId)
    }
    const left = this.queue?.sift(({ message, terms }) => this.#host.mayReceive(this, message, terms.group)) ?? []
    for (const delivery of left) this.denied(delivery)
    if (left.length > 0) this.pump()
  }

  /** A message that waited does not go to its client, who may not have it. A group has other members. */
  denied(delivery: QueuedDelivery): void {
    const { message, terms } = delivery
    if (terms.group !== null && !this.subscriptions.has(terms.group)) this.#host.redistribute(this.clientId, [delivery])
    else this.#host.drop(this.clientId, message, 'notAuthorized')
  }

  #retract(slot: Inflight): void {
    const message = slot.message!
    const terms = slot.terms!
    this.giveUp(slot, false)
    this.denied({ message, terms })
    this.pump()
  }

  /** The store has left it out of the queue, or taken it out. */
  dropped(message: Message, reason: DropReason): void {
    const { window, backlog } = this
    if (window === null || backlog === null) return
    backlog.dropped(message)
    const slot = window.gated(message)
    if (slot !== undefined) window.close(slot)
    if (reason === 'queueFull' && this.#host.settings.mqtt.queueFull === 'disconnect') this.client?.overrun()
  }

  /** Writes the PUBLISH of a slot that may leave; false where it does not, and the slot is free again. */
  transmit(slot: Inflight, dup: boolean): boolean {
    const { packetId } = slot
    const message = slot.message!
    const terms = slot.terms!
    slot.handshake = terms.qos === 1 ? Handshake.AwaitPuback : Handshake.AwaitPubrec
    if (terms.qos === 2) this.client?.usedOutbound?.add(packetId)
    if (this.client?.sender.publish(message, terms, packetId, dup) !== false) return true
    // Filtered, expired or too large for this client: the message is done with.
    this.giveUp(slot, dup)
    return false
  }

  /** The message of a slot is not sent, or not again (`dup`), and its packet identifier is free. */
  giveUp(slot: Inflight, dup: boolean): void {
    this.backlog?.acked(slot.packetId, slot.message!, slot.terms!.identifiers)
    // The client may have it from the first sending, and would take the next message under its identifier for the same one: it lets go of it first.
    if (dup && slot.terms!.qos === 2) {
      slot.message = null
      return this.release(slot)
    }
    const { packetId } = slot
    this.window!.close(slot)
    if (this.durable) this.write(this.#host.sessions.ack(this, packetId))
  }

  /** QoS 2: PUBREL leaves when the store knows that it is owed. */
  release(slot: Inflight): void {
    const { client } = this
    const { packetId } = slot
    slot.handshake = Handshake.Releasing
    const released = (): void => {
      // It may be another message's by now, where the client has sent PUBCOMP before its time.
      if (slot.packetId !== packetId || slot.handshake !== Handshake.Releasing) return
      slot.handshake = Handshake.AwaitPubcomp
      client!.sender.pubrel(packetId)
    }
    const done = this.durable ? this.#host.sessions.release(this, packetId) : undefined
    if (done === undefined) released()
    else done.then(released, error => this.#host.storeFailed(this, error, client))
  }

  /** Something has been acknowledged or has drained: send what waits. */
  pump(): void {
    const { client, window, queue } = this
    if (client === null || window === null) return
    if (queue !== null) {
      while (queue.length > 0 && window.hasRoom && !client.outbox.blocked) {
        const { message, terms } = queue.shift()!
        this.transmit(window.open().fill(message, terms), false)
      }
    }
    this.backlog?.pump()
    if (this.#brake?.holding === true) {
      this.#brake.shortened()
      if (!this.#brake.holding) this.#host.slowedSessions.delete(this)
    }
    client.callReady()
  }

  /** The handshake of one message is over. */
  finish(slot: Inflight): void {
    const { packetId, message, terms } = slot
    this.window!.close(slot)
    this.#brake?.acked(this.#host.now)
    if (this.durable) this.write(this.#host.sessions.ack(this, packetId))
    this.backlog?.acked(packetId, message, terms!.identifiers)
    const { onAcked } = this.#host.hooks
    if (onAcked.isUsed() && message !== null) onAcked.call(this.client!, message)
    this.pump()
  }

  /** Watches over a store's write that nobody waits for. */
  write(done: void | Promise<void>): void {
    if (done === undefined) return
    const { client } = this
    done.catch(error => this.#host.storeFailed(this, error, client))
  }

  /** Keeps a publisher's acknowledgement back while this session's queue is long. */
  slow(receipt: Receipt, publisher: Connection | null): void {
    if (this.#brake?.hold(receipt, this.#host.now, publisher) === true) this.#host.slowedSessions.add(this)
  }

  /** True while the queue of a connected client, here or in the store, wants this publisher slowed, and does not slow it yet. */
  crowds(publisher: Connection | null): boolean {
    // Of what a plugin published later for it no acknowledgement waits, so there is nothing to stand behind.
    return this.#brake?.wants(publisher !== null && publisher.acks.queue.length > 0 ? publisher : null) === true
  }

  /** QoS 0 goes the way of the rest: by option, while there is no connection or something stands before it. */
  get queuesQoS0(): boolean {
    return this.durable && this.node === null && this.#host.settings.mqtt.queueQoS0 && (this.client === null || this.backlog?.busy === true)
  }

  /** Called now and then while publishers are slowed. */
  stalled(now: number): void {
    this.#brake?.look(now)
    if (this.#brake?.holding !== true) this.#host.slowedSessions.delete(this)
  }

  #releasePublishers(): void {
    this.#brake?.release()
    this.#brake = null
    this.#host.slowedSessions.delete(this)
  }

  #newBrake(line: Line): PublisherBrake {
    return new PublisherBrake(line, this.#host.settings.mqtt.inflightMax, this.#host.now, slowPublishersMs)
  }

  #enqueue(delivery: QueuedDelivery): void {
    if (this.queue === null) {
      this.queue = new MessageQueue(this.#host.queueLimits)
      this.#brake = this.#newBrake(this.queue)
    }
    const dropped = this.queue.push(delivery)
    if (dropped === null) return
    for (const { message } of dropped) this.#host.drop(this.clientId, message, 'queueFull')
    if (this.#host.settings.mqtt.queueFull === 'disconnect') this.client?.overrun()
  }

  waiting(limit: number): Message[] {
    return this.queue?.first(limit) ?? []
  }

  /** What came through shared groups and may go to other members: unacknowledged QoS 1, and whatever was not yet sent. */
  leaveShared(): QueuedDelivery[] {
    const shared: QueuedDelivery[] = []
    const ended = (message: Message | null, reason: DropReason): void => {
      if (message !== null) this.#host.drop(this.clientId, message, reason)
    }
    for (const { handshake, message, terms } of this.window?.entries() ?? []) {
      if (handshake >= Handshake.Releasing) continue // The client has the message: PUBREC said so.
      if (message === null || terms!.group === null) ended(message, 'sessionEnded')
      else if (handshake === Handshake.AwaitPubrec)
        ended(message, 'noMember') // [MQTT-4.8.2-5]
      else shared.push({ message, terms: terms! })
    }
    for (const delivery of this.queue ?? []) {
      if (delivery.terms.group === null) ended(delivery.message, 'sessionEnded')
      else shared.push(delivery)
    }
    this.queue = null
    return shared
  }
}

// What the store remembers, and what is still being judged here; a reason code that was given is known here only.
function receivedOf(stored: readonly number[], known: ReadonlyMap<number, Received> | null): Map<number, Received> | null {
  const received = new Map<number, Received>()
  for (const id of stored) received.set(id, known?.get(id) ?? 0)
  for (const [id, answer] of known ?? []) if (answer === 'pending') received.set(id, answer)
  return received.size > 0 ? received : null
}
