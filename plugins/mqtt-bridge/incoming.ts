import type { Broker } from '../../core/broker.ts'
import { Message } from '../../core/messages/message.ts'
import { PacketType, type QoS } from '../../core/protocol/constants.ts'
import type { PublishPacket } from '../../core/protocol/packets.ts'
import type { Publisher } from '../../core/publisher.ts'
import { ReasonCode } from '../../core/reason.ts'
import { MessageRefusedError } from '../../core/sessions/session-store.ts'
import { ByTopic } from '../kit/by-topic.ts'
import { Fifo } from '../kit/fifo.ts'
import type { RemoteLink } from './remote-link.ts'
import type { BridgeRule } from './rules.ts'
import { trailOf, withTrail } from './trail.ts'

export interface IncomingOptions {
  /** In whose name messages are published here. */
  readonly publisher: Publisher
  /** By which bridges know this broker. */
  readonly id: string
  readonly maxHops: number
}

/** What an incoming side tells of. */
export interface IncomingEvents {
  /** A message is acknowledged and goes nowhere. */
  dropped(message: Message, reason: 'mqttBridgeRefused' | 'mqttBridgeLoop', why: string): void
  /** This broker cannot keep a message just now: the other one must send it again. */
  failed(error: Error): void
}

/** One message of QoS 1 or 2 that the other broker waits for. */
interface Entry {
  readonly packetId: number
  readonly qos: QoS
  /** What it is answered with; -1: this broker does not have it yet. */
  reasonCode: number
  /** It came over the connection that there is, and waits for its answer. */
  waits: boolean
}

// Messages, and bytes of them, that this broker has not taken yet, before nothing more is read.
const pendingMax = 2000
const pendingBytesMax = 8_388_608

/**
 * What comes in over one connection: each message is published here as this broker's own client would, and acknowledged when everybody who has to keep it has it, in the order in
 * which it came. One that this broker could not keep is not acknowledged, so that the other broker sends it again.
 */
export class Incoming {
  readonly #broker: Broker
  readonly #rules: ByTopic<BridgeRule>
  readonly #options: IncomingOptions
  readonly #events: IncomingEvents
  // By packet identifier: those that wait to be acknowledged, and those of an earlier connection whose identifiers the other broker still has in use.
  readonly #entries: Map<number, Entry>
  // In the order in which they came over this connection.
  readonly #order: Fifo<Entry>
  // Identifiers of QoS 2 between PUBREC and PUBREL.
  readonly #received: Set<number>
  // A tap of `onPublish` takes its time over a message, and what came behind it waits, so that order holds.
  #judged: Message | null
  readonly #waiting: Fifo<PublishPacket>
  #link: RemoteLink | null
  #pending: number
  #pendingBytes: number
  #paused: boolean
  /** Messages that came. */
  received: number
  /** Those among them that had come before. */
  repeated: number

  constructor(broker: Broker, rules: readonly BridgeRule[], options: IncomingOptions, events: IncomingEvents) {
    this.#broker = broker
    this.#rules = new ByTopic<BridgeRule>(rules)
    this.#options = options
    this.#events = events
    this.#entries = new Map()
    this.#order = new Fifo()
    this.#received = new Set()
    this.#judged = null
    this.#waiting = new Fifo()
    this.#link = null
    this.#pending = 0
    this.#pendingBytes = 0
    this.#paused = false
    this.received = 0
    this.repeated = 0
  }

  /** Bytes that what is known of topic names keeps. */
  get bytes(): number {
    return this.#rules.bytes
  }

  /** Forgets what is known of topic names. */
  clear(): void {
    this.#rules.clear()
  }

  attach(link: RemoteLink, sessionPresent: boolean): void {
    this.#link = link
    this.#paused = false
    if (sessionPresent) return
    // Its identifiers mean nothing any more.
    this.#entries.clear()
    this.#received.clear()
  }

  detach(): void {
    this.#link = null
    this.#order.clear()
    for (const { payload } of this.#waiting.shiftAll()) this.#count(-1, -payload.length)
    for (const entry of this.#entries.values()) entry.waits = false
  }

  /** A PUBLISH has come; what it holds is good until the call returns. */
  publish(packet: PublishPacket): void {
    this.received += 1
    const { qos, packetId } = packet
    if (qos === 2 && this.#received.has(packetId)) {
      this.repeated += 1
      return this.#answer(PacketType.Pubrec, packetId, 0)
    }
    const known = qos === 0 ? undefined : this.#entries.get(packetId)
    if (known !== undefined) {
      // It came over an earlier connection, and is being kept, or was.
      this.repeated += 1
      if (known.waits) return
      known.waits = true
      this.#order.push(known)
      return this.#acknowledge()
    }
    const copy = { ...packet, payload: Buffer.from(packet.payload) }
    this.#count(1, copy.payload.length)
    if (this.#judged === null) this.#take(copy)
    else this.#waiting.push(copy)
  }

  /** PUBREL: the other broker forgets the identifier. */
  released(packetId: number): void {
    this.#received.delete(packetId)
    this.#answer(PacketType.Pubcomp, packetId, 0)
  }

  /** A message is being routed: what came behind it may follow. */
  routed(message: Message): void {
    if (this.#judged !== message) return
    this.#judged = null
    // Not within the routing of this one.
    if (this.#waiting.length > 0) queueMicrotask(() => this.#goOn())
  }

  #goOn(): void {
    while (this.#judged === null) {
      const next = this.#waiting.shift()
      if (next === undefined) return
      this.#take(next)
    }
  }

  #take(packet: PublishPacket): void {
    const { qos, packetId, payload } = packet
    const entry: Entry | null = qos === 0 ? null : { packetId, qos, reasonCode: -1, waits: true }
    if (entry !== null) {
      this.#entries.set(packetId, entry)
      this.#order.push(entry)
    }
    const over = (reasonCode: number): void => {
      this.#count(-1, -payload.length)
      if (entry === null) return
      entry.reasonCode = reasonCode
      this.#acknowledge()
    }
    this.#published(packet).then(over, error => {
      // A verdict on this message is an answer; anything else is this broker's trouble, and the other one has to send it again.
      if (error instanceof MessageRefusedError) return over(ReasonCode.ImplementationSpecificError)
      this.#count(-1, -payload.length)
      if (entry !== null && this.#entries.get(packetId) === entry) this.#entries.delete(packetId)
      this.#events.failed(error as Error)
    })
  }

  /** Resolves to what is to be answered when this broker has it. */
  async #published(packet: PublishPacket): Promise<number> {
    const { publisher, id, maxHops } = this.#options
    const { topic, payload, qos, retain, properties } = packet
    const rules = this.#rules.of(topic)
    const made = (rule: BridgeRule | null, name: string): Message => {
      const message = new Message({
        topic: name,
        payload,
        qos: Math.min(qos, rule?.qos ?? qos) as QoS,
        retain,
        properties,
        origin: 'client',
        clientId: publisher.clientId,
        username: publisher.username,
        receivedAt: this.#broker.clock.now(),
      })
      return message
    }
    const trail = trailOf({ properties })
    if (trail.includes(id) || trail.length >= maxHops) {
      this.#events.dropped(made(null, topic), 'mqttBridgeLoop', trail.includes(id) ? 'it has been here' : 'it has passed too many bridges')
      return 0
    }
    const names = new Set<string>()
    const messages: Message[] = []
    for (const rule of rules) {
      const name = rule.nameOf(topic, '')
      if (name === null || names.has(name)) continue
      names.add(name)
      const message = made(rule, name)
      message.properties = withTrail(properties, [...trail, id])
      messages.push(message)
    }
    if (messages.length === 0) {
      const why = rules.length === 0 ? 'no rule asks for it' : 'the rule comes to no topic name'
      this.#events.dropped(made(null, topic), 'mqttBridgeRefused', why)
      return 0
    }
    const outcomes = await Promise.all(messages.map(message => this.#publishHere(message)))
    return outcomes.includes('refused') ? ReasonCode.NotAuthorized : 0
  }

  async #publishHere(message: Message): Promise<'published' | 'refused'> {
    this.#judged = message
    try {
      const outcome = await this.#broker.publishFor(this.#options.publisher, message)
      if (outcome === 'refused') this.#events.dropped(message, 'mqttBridgeRefused', 'the rules of this broker refuse it')
      return outcome
    } finally {
      this.routed(message)
    }
  }

  /** Answers in the order in which messages came. */
  #acknowledge(): void {
    for (;;) {
      const entry = this.#order.first
      if (entry === undefined || entry.reasonCode === -1) return
      this.#order.shift()
      const { packetId, qos, reasonCode } = entry
      this.#entries.delete(packetId)
      if (qos === 1) this.#answer(PacketType.Puback, packetId, reasonCode)
      else {
        if (reasonCode < 0x80) this.#received.add(packetId)
        this.#answer(PacketType.Pubrec, packetId, reasonCode)
      }
    }
  }

  #answer(
    type: typeof PacketType.Puback | typeof PacketType.Pubrec | typeof PacketType.Pubcomp,
    packetId: number,
    reasonCode: number,
  ): void {
    this.#link?.send({ type, packetId, reasonCode, properties: undefined })
  }

  #count(messages: number, bytes: number): void {
    this.#pending += messages
    this.#pendingBytes += bytes
    const isHigh = this.#pending > pendingMax || this.#pendingBytes > pendingBytesMax
    if (isHigh && !this.#paused) {
      this.#paused = true
      this.#link?.pause()
    } else if (this.#paused && this.#pending * 2 < pendingMax && this.#pendingBytes * 2 < pendingBytesMax) {
      this.#paused = false
      this.#link?.resume()
    }
  }
}
