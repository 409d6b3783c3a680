import {
  type AnyPublisher,
  type Broker,
  type Client as CoreClient,
  type Delivery,
  isClient,
  type Message,
  type Packet,
  PacketType,
  type PublishVerdict,
  ReasonCode,
  type Receipt,
  Stage,
} from '../index.ts'
import { Admission } from './admission.ts'
import type { Client } from './client.ts'
import { PacketIds } from './link.ts'
import { once } from './once.ts'
import type { AedesPublishPacket } from './packet-types.ts'
import { acceptedPacket, changeDelivery, changeMessage, inboundPacket } from './packets.ts'
import type { Handlers, Part, Wiring } from './wiring.ts'

/** Asks the functions that the program has set, and tells those that want to know of each message. */
export class HandlerTaps implements Handlers {
  readonly #wiring: Wiring
  readonly #needed = new Set<Part>()
  readonly #tapped = new Set<Part>()
  readonly #messageIds = new WeakMap<Message, number>()
  #broker: Broker | null = null
  /** The program has set `authenticate`. */
  authenticates = false

  constructor(wiring: Wiring) {
    this.#wiring = wiring
  }

  /** The program asks for something. */
  need(part: Part): void {
    this.#needed.add(part)
    if (this.#broker !== null) this.#tap(part)
  }

  start(broker: Broker): void {
    this.#broker = broker
    const { hooks } = broker
    const admission = new Admission(this.#wiring)
    hooks.onAuthenticate.tapPromise({ name: 'aedes', stage: Stage.Guard }, (core, connect) => admission.ask(core, connect))
    hooks.onConnect.tap({ name: 'aedes', stage: Stage.Observe }, core => {
      admission.admitted(core)
      if (this.#needed.has('routes')) this.#watchIds(core)
    })
    hooks.onSubscribe.tapPromise('aedes', (core, attempt) => this.#clientOf(core).link.filters.ask(attempt))
    for (const part of this.#needed) this.#tap(part)
  }

  #clientOf(core: CoreClient): Client {
    return this.#wiring.clientOf(core)
  }

  #tap(part: Part): void {
    if (this.#tapped.has(part)) return
    this.#tapped.add(part)
    const broker = this.#broker!
    const { hooks } = broker
    switch (part) {
      case 'publishes':
        return hooks.onPublish.tapAsync('aedes', (publisher, message, callback) => this.#publish(publisher, message, callback))
      case 'routes':
        for (const core of broker.clients) if (core.state === 'connected') this.#watchIds(core)
        this.#tap('publishes')
        return hooks.onRoute.tap({ name: 'aedes', stage: Stage.Observe }, (message, _route, receipt) => this.#routed(message, receipt))
      case 'published':
        return this.need('routes')
      case 'deliveries':
        return hooks.onDeliver.tap('aedes', (core, delivery) => this.#deliver(core, delivery))
      case 'packets':
        // Those that come, and those that are there.
        broker.trace(true)
        for (const { state, clientId } of broker.clients) if (state === 'connected') broker.trace(clientId)
        return hooks.onPacketReceived.tap('aedes', (core, packet) => this.#received(core, packet))
      case 'acks':
        this.#tap('packets')
        return hooks.onAcked.tap('aedes', (core, message) => this.#acked(core, message))
      case 'resumed':
        return hooks.onAnswer.tap('aedes', (core, answer) =>
          answer === 'connack' ? this.#clientOf(core).link.filters.askResumed() : undefined,
        )
    }
  }

  /** Notes the packet identifiers of what a client publishes from now on. */
  #watchIds(core: CoreClient): void {
    if (!(core.meter instanceof PacketIds)) core.meter = new PacketIds(this.#clientOf(core).link, core.meter)
  }

  #publish(publisher: AnyPublisher, message: Message, callback: (error: null, verdict?: PublishVerdict) => void): void {
    const { aedes } = this.#wiring
    const client = isClient(publisher) ? this.#clientOf(publisher) : (aedes.clients[publisher.clientId] ?? null)
    const messageId = message.origin === 'client' && message.qos > 0 ? client?.link.packetId : undefined
    if (messageId !== undefined) this.#messageIds.set(message, messageId)
    if (!this.#needed.has('publishes')) return callback(null)
    const packet = inboundPacket(message, messageId)
    const answered = once((error?: Error | null): void => {
      if (message.origin === 'client' && client !== null) {
        if (client.closed && message.qos > 0) aedes.emit('clientError', client, new Error('connection closed'))
        else if (error && client.version === 5) aedes.emit('clientError', client, error)
        else if (error) client.link.fail(error)
      }
      if (error) return callback(null, { reasonCode: ReasonCode.NotAuthorized, reasonString: error.message })
      if (packet.qos !== 0 && packet.qos !== 1 && packet.qos !== 2) return callback(null, 'drop')
      changeMessage(message, packet)
      callback(null)
    })
    aedes.authorizePublish(client, packet, answered)
  }

  #routed(message: Message, receipt: Receipt): void {
    // Another broker has accepted it, and told its own program.
    if (message.origin === 'peer') return
    const { aedes } = this.#wiring
    const client = message.origin === 'client' ? (aedes.clients[message.clientId] ?? null) : null
    const packet = acceptedPacket(this.#wiring, message, this.#messageIds.get(message))
    if (this.#needed.has('published')) this.#published(packet, client, receipt)
    // Behind what the message does, so that whoever listens sees it done.
    this.#broker!.clock.turn(() => aedes.emit('publish', packet, client))
  }

  /** The publisher's acknowledgement waits for the program, and so does what it sends next. */
  #published(packet: AedesPublishPacket, client: Client | null, receipt: Receipt): void {
    const release = receipt.hold('aedes.published')
    let done = false
    let resume: (() => void) | undefined
    const answered = once((error?: Error | null): void => {
      done = true
      if (error) client?.link.fail(error)
      resume?.()
      release(error ?? undefined)
    })
    this.#wiring.aedes.published(packet, client, answered)
    if (!done) resume = client?.link.brake()
  }

  #deliver(core: CoreClient, delivery: Delivery): false | undefined {
    const client = this.#clientOf(core)
    const forwarded = this.#wiring.aedes.authorizeForward(client, acceptedPacket(this.#wiring, delivery.message, undefined, delivery))
    if (!forwarded) return false
    changeDelivery(delivery, forwarded)
    return undefined
  }

  #received(core: CoreClient, packet: Readonly<Packet>): void {
    if (packet.type === PacketType.Pingreq) this.#wiring.aedes.emit('ping', { cmd: 'pingreq', length: 0 }, this.#clientOf(core))
    else if (packet.type === PacketType.Puback || packet.type === PacketType.Pubcomp) this.#clientOf(core).link.ackId = packet.packetId
  }

  #acked(core: CoreClient, message: Message): void {
    const client = this.#clientOf(core)
    const messageId = client.link.ackId
    const packet = message.qos === 2 ? { cmd: 'pubrel' as const, messageId } : acceptedPacket(this.#wiring, message, messageId)
    this.#wiring.aedes.emit('ack', packet, client)
  }
}
