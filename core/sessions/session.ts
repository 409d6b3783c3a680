import type { Broker } from '../broker.ts'
import type { Client } from '../connection/client.ts'
import type { DropReason } from '../counter-names.ts'
import type { Publisher, Rights } from '../hooks.ts'
import type { Message } from '../messages/message.ts'
import type { Receipt } from '../messages/receipt.ts'
import type { QoS } from '../protocol/constants.ts'
import type { Subscriber, Subscription } from '../routing/subscription.ts'
import { fillSlot } from './fill-slot.ts'
import { MessageQueue, type Waiting } from './message-queue.ts'
import { type Line, PublisherBrake } from './publisher-brake.ts'
import type { AppendTarget, Claim, SessionKey } from './session-store.ts'
import { StoredBacklog } from './stored-backlog.ts'
import { Handshake, type Inflight, Window } from './window.ts'

/** What became of an inbound QoS 2 message: still being judged, or the reason code of its PUBREC. */
export type Received = 'pending' | number

/**
 * What the broker knows of one client beyond its connection: subscriptions, messages in flight and waiting, QoS 2 state. A
 * session that outlives its connection is kept by the `sessions` service too, and nothing leaves the socket before the
 * service has said so; one that does not lives here only.
 */
export class Session implements Subscriber, SessionKey, Publisher {
  readonly clientId: string
  readonly broker: Broker
  /** The node that its client is connected to, where that is not this one; null: none is known. @internal */
  elsewhere: string | null
  /** Its connection has been heard of by all nodes, this one too: one that is announced later takes its place. @internal */
  announced: boolean
  /** Its connection; null while there is none. */
  client: Client | null
  /** What its client's last authentication said, also while there is no connection. */
  username: string | null
  rights: Rights | null
  /** It has had a connection here: only then do the two above say anything. @internal */
  seen: boolean
  /** It outlives its connection, so the store keeps it. */
  durable: boolean
  epoch: number
  /** Milliseconds that it outlives its connection. */
  expiryMs: number
  readonly subscriptions: Map<string, Subscription>
  /** Filters that go with the connection, whatever becomes of the session. @internal */
  temporary: Set<string> | null
  /** QoS 2 identifiers from the client, from PUBLISH until PUBREL [MQTT-4.3.3-10]. @internal */
  received: Map<number, Received> | null
  /** Told when a QoS 2 message is judged that the client has sent again meanwhile; null: it was not kept. @internal */
  joined: Map<number, ((reasonCode: number | null) => void)[]> | null
  /** @internal */ window: Window | null
  /** Messages for which the window has no room. @internal */
  queue: MessageQueue<Waiting> | null
  /** The same for a durable session: they wait in the store. @internal */
  backlog: StoredBacklog | null
  // Packet identifiers whose messages the client may no longer have, while the store is at them.
  #retracted: Set<number> | null
  /** Slows those who publish to it, once messages have waited here or in the store. */
  #brake: PublisherBrake | null

  /** @internal */ constructor(broker: Broker, clientId: string) {
    this.clientId = clientId
    this.broker = broker
    this.elsewhere = null
    this.announced = false
    this.client = null
    this.username = null
    this.rights = null
    this.seen = false
    this.durable = false
    this.epoch = 0
    this.expiryMs = 0
    this.subscriptions = new Map()
    this.temporary = null
    this.received = null
    this.joined = null
    this.window = null
    this.queue = null
    this.backlog = null
    this.#retracted = null
    this.#brake = null
  }

  get online(): boolean {
    return this.client !== null || this.elsewhere !== null
  }

  /** Its client is, or was, another node's: what is remembered here of the time before says nothing any more. @internal */
  moved(node: string | null, epoch: number): void {
    this.elsewhere = node
    this.epoch = epoch
    this.received = null
    this.joined = null
  }

  /** Takes up a stored session, or begins a new one, for a connection that is about to be told. @internal */
  open(client: Client, claim: Claim, expiryMs: number): void {
    this.client = client
    this.elsewhere = null
    this.announced = false
    this.username = client.username
    this.rights = client.rights
    this.seen = true
    this.epoch = claim.epoch
    // One that was stored stays so until it ends, even where this connection asked for no expiry.
    this.durable = expiryMs > 0 || claim.present
    this.expiryMs = expiryMs
    this.window = new Window(client.inflightMax)
    this.backlog = this.durable ? new StoredBacklog(this) : null
    if (claim.present) this.backlog?.resume(claim.queued)
    if (this.durable) this.received = receivedOf(claim.receivedIds, this.received)
  }

  /** The connection has gone. What was in flight is the store's to remember. @internal */
  park(): void {
    this.client = null
    this.window = null
    this.#retracted = null
    this.backlog?.stop()
    this.backlog = null
    this.#letGo()
  }

  /** QoS 0: now or never. @internal */
  deliverNow(message: Message, retain: boolean, identifiers: readonly number[] | null): void {
    const { client } = this
    if (client === null) {
      // The node that has its client was sent the message by the filter.
      if (this.elsewhere === null) this.broker.drop(this.clientId, message, 'offline')
    } else if (client.outbox.blocked && client.slow(message)) {
      this.broker.drop(this.clientId, message, 'slowReader')
    } else {
      client.sender.publish(message, 0, retain, identifiers, 0, false)
    }
  }

  /** QoS 1 and 2 for a session that ends with its connection. @internal */
  deliver(message: Message, qos: QoS, retain: boolean, identifiers: readonly number[] | null, group: string | null): void {
    const { client, window } = this
    if (client === null || window === null) {
      this.broker.drop(this.clientId, message, 'offline')
    } else if (window.hasRoom && !client.outbox.blocked && (this.queue === null || this.queue.length === 0)) {
      this.transmit(fillSlot(window.open(), message, qos, retain, identifiers, group), false)
    } else {
      this.#enqueue({ message: message.own(), qos, retain, identifiers, group })
    }
  }

  /** QoS 1 and 2 for a durable session: what the store is to keep, with a packet identifier while the window has room. @internal */
  target(message: Message, qos: QoS, retain: boolean, identifiers: readonly number[] | null, group: string | null): AppendTarget {
    const { client, window, backlog, clientId, epoch } = this
    if (backlog !== null) {
      backlog.holds(message, identifiers)
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
    const { packetId } = fillSlot(window.open(), message, qos, retain, identifiers, group)
    return { clientId, qos, retain, identifiers, group, packetId, epoch }
  }

  /** The store keeps it: a message with a packet identifier goes out [gate: PUBLISH], unless that was an earlier connection's. @internal */
  kept({ packetId, epoch }: AppendTarget): void {
    if (packetId !== 0 && epoch === this.epoch) this.gateOpens(packetId)
    else this.backlog?.pump()
  }

  /** The packet identifier is kept. @internal */
  gateOpens(packetId: number): void {
    const slot = this.window?.find(packetId)
    if (slot === undefined || slot.handshake !== Handshake.Gated) return
    if (this.#retracted?.delete(packetId)) return this.#retract(slot)
    // Where it did not go out after all, what waits behind it must not wait for its acknowledgement.
    if (!this.transmit(slot, false)) this.pump()
  }

  /** The store did not keep it: the identifier is free again. @internal */
  lost(message: Message, { packetId, epoch, identifiers }: AppendTarget): void {
    if (epoch !== this.epoch) return
    this.#retracted?.delete(packetId)
    this.backlog?.lets(message, identifiers)
    const slot = packetId === 0 ? undefined : this.window?.find(packetId)
    if (slot === undefined || slot.handshake !== Handshake.Gated) return
    this.window!.close(slot)
    this.pump()
  }

  /** Its client may have less than before: what waits for it is looked at again. What has left is the client's. @internal */
  recheck(): void {
    if (!this.broker.hooks.onAuthorize.isUsed()) return
    const { authority } = this.broker
    this.backlog?.recheck()
    for (const { handshake, message, group, packetId } of this.window?.entries() ?? []) {
      if (handshake !== Handshake.Gated || authority.mayReceive(this, message!, group)) continue
      this.#retracted ??= new Set()
      this.#retracted.add(packetId)
    }
    const left = this.queue?.sift(({ message, group }) => authority.mayReceive(this, message, group)) ?? []
    for (const waiting of left) this.denied(waiting)
    if (left.length > 0) this.pump()
  }

  /** A message that waited does not go to its client, who may not have it. A group has other members. @internal */
  denied(waiting: Waiting): void {
    const { message, group } = waiting
    if (group !== null && !this.subscriptions.has(group)) this.broker.dispatcher.redistribute(this.clientId, [waiting])
    else this.broker.drop(this.clientId, message, 'notAuthorized')
  }

  #retract(slot: Inflight): void {
    const { message, qos, retain, identifiers, group, packetId } = slot
    this.window!.close(slot)
    this.backlog?.lets(message!, identifiers)
    this.write(this.broker.sessions.ack(this, packetId))
    this.denied({ message: message!, qos, retain, identifiers, group })
    this.pump()
  }

  /** The store has left it out of the queue, or taken it out. @internal */
  dropped(message: Message, reason: DropReason): void {
    const { window, backlog } = this
    if (window === null || backlog === null) return
    backlog.dropped(message)
    const slot = window.gated(message)
    if (slot !== undefined) window.close(slot)
    if (reason === 'queueFull' && this.broker.settings.mqtt.queueFull === 'disconnect') this.client?.overrun()
  }

  /** Writes the PUBLISH of a slot that may leave; false where it does not, and the slot is free again. @internal */
  transmit(slot: Inflight, dup: boolean): boolean {
    slot.handshake = slot.qos === 1 ? Handshake.AwaitPuback : Handshake.AwaitPubrec
    const { packetId, identifiers } = slot
    const message = slot.message!
    if (this.client?.sender.publish(message, slot.qos, slot.retain, slot.identifiers, packetId, dup) !== false) return true
    // Filtered, expired or too large for this client: the message is done with.
    this.window!.close(slot)
    this.backlog?.lets(message, identifiers)
    if (this.durable) this.write(this.broker.sessions.ack(this, packetId))
    return false
  }

  /** Something has been acknowledged or has drained: send what waits. @internal */
  pump(): void {
    const { client, window, queue } = this
    if (client === null || window === null) return
    if (queue !== null) {
      while (queue.length > 0 && window.hasRoom && !client.outbox.blocked) {
        const { message, qos, retain, identifiers, group } = queue.shift()!
        this.transmit(fillSlot(window.open(), message, qos, retain, identifiers, group), false)
      }
    }
    this.backlog?.pump()
    if (this.#brake?.holding === true) this.#ease(this.#brake)
    client.eased()
  }

  /** The handshake of one message is over. @internal */
  finish(slot: Inflight): void {
    const { packetId, message, identifiers } = slot
    this.window!.close(slot)
    this.#brake?.acked(this.broker.now)
    if (this.durable) this.write(this.broker.sessions.ack(this, packetId))
    this.backlog?.acked(packetId, message!, identifiers)
    const { onAcked } = this.broker.hooks
    if (onAcked.isUsed() && message !== null) onAcked.call(this.client!, message)
    this.pump()
  }

  /** Watches over a store's write that nobody waits for. @internal */
  write(done: void | Promise<void>): void {
    if (done === undefined) return
    const { client } = this
    done.catch(error => this.broker.storeFailed(this, error, client))
  }

  /** Keeps a publisher's acknowledgement back while this session's queue is long. @internal */
  slow(receipt: Receipt): void {
    if (this.#brake?.hold(receipt, this.broker.now) === true) this.broker.slowed.add(this)
  }

  /** True while the queue of a connected client, here or in the store, wants publishers slowed. @internal */
  get crowded(): boolean {
    return this.#brake?.wanted === true
  }

  /** QoS 0 goes the way of the rest: by option, while there is no connection or something stands before it. @internal */
  get queuesQoS0(): boolean {
    return (
      this.durable &&
      this.elsewhere === null &&
      this.broker.settings.mqtt.queueQoS0 &&
      (this.client === null || this.backlog?.busy === true)
    )
  }

  /** Called now and then while publishers are slowed. @internal */
  stalled(now: number): void {
    this.#brake?.look(now)
    if (this.#brake?.holding !== true) this.broker.slowed.delete(this)
  }

  #ease(brake: PublisherBrake): void {
    brake.eased()
    if (!brake.holding) this.broker.slowed.delete(this)
  }

  #letGo(): void {
    this.#brake?.release()
    this.#brake = null
    this.broker.slowed.delete(this)
  }

  #newBrake(line: Line): PublisherBrake {
    return new PublisherBrake(line, this.broker.settings.mqtt.inflightMax, this.broker.now, this.broker.slowPublishersMs)
  }

  #enqueue(waiting: Waiting): void {
    if (this.queue === null) {
      this.queue = new MessageQueue(this.broker.queueLimits)
      this.#brake = this.#newBrake(this.queue)
    }
    const dropped = this.queue.push(waiting)
    if (dropped === null) return
    for (const { message } of dropped) this.broker.drop(this.clientId, message, 'queueFull')
    if (this.broker.settings.mqtt.queueFull === 'disconnect') this.client?.overrun()
  }

  /** What came through shared groups and may go to other members: unacknowledged QoS 1, and whatever was not yet sent. @internal */
  takeShared(): Waiting[] {
    const shared: Waiting[] = []
    const ended = (entry: { message: Message | null; group: string | null }, reason: DropReason) => {
      if (entry.message !== null) this.broker.drop(this.clientId, entry.message, reason)
    }
    for (const slot of this.window?.entries() ?? []) {
      if (slot.handshake >= Handshake.Releasing) continue // It has the message: PUBREC said so.
      if (slot.group === null || slot.message === null) ended(slot, 'sessionEnded')
      else if (slot.handshake === Handshake.AwaitPubrec)
        ended(slot, 'noMember') // [MQTT-4.8.2-5]
      else shared.push({ message: slot.message, qos: slot.qos, retain: slot.retain, identifiers: slot.identifiers, group: slot.group })
    }
    for (const waiting of this.queue ?? []) {
      if (waiting.group === null) ended(waiting, 'sessionEnded')
      else shared.push(waiting)
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
