import type { Broker } from '../../core/broker.ts'
import { Message } from '../../core/messages/message.ts'
import { PacketType, type ProtocolVersion } from '../../core/protocol/constants.ts'
import type { AckPacket, Packet, Properties, PublishPacket } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { QueueEntry } from '../../core/sessions/session-store.ts'
import type { Timer } from '../../core/time/clock.ts'
import { ByTopic } from '../kit/by-topic.ts'
import { encodeClientPacket } from '../kit/client-packets.ts'
import { reasonName } from '../kit/reason-name.ts'
import type { ConnectionSide } from './bridge-connection.ts'
import { type OwnTransports, openLocalEnd } from './local-end.ts'
import type { OutParcel } from './out-parcel.ts'
import type { RemoteLimits } from './remote-limits.ts'
import type { RemoteLink } from './remote-link.ts'
import type { BridgeRules } from './rules.ts'
import { trailOf, withTrail } from './trail.ts'

export interface RelayOptions {
  /** By which this broker knows the session that keeps what goes out. */
  readonly clientId: string
  /** The user name that this broker knows it by; null: none. */
  readonly username: string | null
  /** By which bridges know this broker. */
  readonly id: string
  readonly maxHops: number
  readonly answerMs: number
  readonly retryMs: number
  readonly outgoingRetain: boolean
}

/** What becomes of messages. */
export interface RelayEvents {
  /** The other broker will never take one that its publisher has the acknowledgement for. */
  refused(parcel: OutParcel, why: string): void
  dropped(message: Message, reason: 'mqttBridgeRefused' | 'mqttBridgeLoop', why: string): void
  /** It cannot go on over this connection. */
  broken(error: Error): void
  /** The session that keeps what goes out is there. */
  prepared(): void
  /** It is not, and why; it is tried again. */
  unprepared(error: Error): void
}

const lookEveryMs = 2000
const countedMax = 1000

/**
 * Carries messages exactly once. It is a client of both brokers, with a session at each, and passes the packets of one to the other with the packet identifiers that they have: so
 * each handshake of QoS 2 goes from one end to the other, what stands is kept by the two brokers alone, and whoever is killed, the bridge among them, goes on where it was.
 */
export class Relay implements ConnectionSide {
  readonly #broker: Broker
  readonly #own: OwnTransports
  readonly #options: RelayOptions
  readonly #rules: BridgeRules
  readonly #events: RelayEvents
  readonly #out: ByTopic<BridgeRules['out'][number]>
  readonly #in: ByTopic<BridgeRules['in'][number]>
  // What is on its way there, so that it can be parked where it is refused.
  readonly #flights: Map<number, OutParcel>
  // What has come from there before this broker has answered.
  #early: Packet[] | null
  #remote: RemoteLink | null
  #limits: RemoteLimits | null
  #local: RemoteLink | null
  #retry: Timer | null
  // What the store said of the session, and when it was asked.
  #stored: number
  #oldest: number
  #lookedAt: number
  sent: number
  received: number
  repeated: number

  constructor(broker: Broker, own: OwnTransports, rules: BridgeRules, options: RelayOptions, events: RelayEvents) {
    this.#broker = broker
    this.#own = own
    this.#options = options
    this.#rules = rules
    this.#events = events
    this.#out = new ByTopic(rules.out)
    this.#in = new ByTopic(rules.in)
    this.#flights = new Map()
    this.#early = null
    this.#remote = null
    this.#limits = null
    this.#local = null
    this.#retry = null
    this.#stored = 0
    this.#oldest = 0
    this.#lookedAt = Number.NEGATIVE_INFINITY
    this.sent = 0
    this.received = 0
    this.repeated = 0
  }

  /** Messages that wait in the session, those on their way among them; while the other broker is away, as the store said when it was asked last, and 1,000 at most. */
  get waiting(): number {
    const queued = this.#broker.sessionOf(this.#options.clientId)?.client?.queued
    if (queued !== undefined) return queued
    this.#look()
    return this.#stored
  }

  /** When the oldest of these was received, as the store said when it was asked last; 0: none waits. */
  get oldest(): number {
    this.#look()
    return this.#oldest
  }

  // Who asks does not wait, and gets what was found the last time.
  #look(): void {
    const { clock, services } = this.#broker
    if (clock.now() - this.#lookedAt < lookEveryMs) return
    this.#lookedAt = clock.now()
    const found = (entries: readonly QueueEntry[] | null | undefined): void => {
      this.#stored = entries?.length ?? 0
      this.#oldest = entries?.[0]?.message.receivedAt ?? 0
    }
    const store = services.find('sessions')
    // A store that is away says so by itself.
    Promise.resolve(store?.peek?.(this.#options.clientId, 0, countedMax)).then(found, () => {})
  }

  /** Makes the session that keeps what goes out, before anybody connects to the other broker. */
  prepare(): void {
    const { retryMs } = this.#options
    let isDone = false
    const again = (error: Error): void => {
      if (isDone) return
      this.#events.unprepared(error)
      this.#retry = this.#broker.clock.after(retryMs, () => this.prepare())
    }
    const opened = this.#openLocal(1, {
      ready: link => {
        isDone = true
        link.end()
        this.#events.prepared()
      },
      packet: () => {},
      drained: () => {},
      closed: again,
    })
    if (opened === null) again(new Error('this broker takes no connection'))
  }

  #openLocal(window: number, events: Parameters<typeof openLocalEnd>[4]): RemoteLink | null {
    const { clientId, username, answerMs } = this.#options
    return openLocalEnd(this.#broker, this.#own, { clientId, username, window, answerMs }, this.#rules.out, events)
  }

  up(remote: RemoteLink, limits: RemoteLimits): void {
    if (limits.maximumQoS < 2) {
      this.#remote = null
      return this.#events.broken(new Error(`it takes QoS ${limits.maximumQoS} at most; set delivery: atLeastOnce`))
    }
    this.#remote = remote
    this.#limits = limits
    this.#early = []
    this.#local = this.#openLocal(limits.window, {
      ready: () => {
        const early = this.#early ?? []
        this.#early = null
        for (const packet of early) this.packet(packet)
      },
      packet: packet => this.#fromHere(packet),
      drained: () => this.#remote?.resume(),
      closed: error => {
        this.#local = null
        if (this.#remote !== null) this.#events.broken(error)
      },
    })
    if (this.#local === null) this.#events.broken(new Error('this broker takes no connection'))
  }

  down(): void {
    this.#remote = null
    this.#early = null
    this.#flights.clear()
    const local = this.#local
    this.#local = null
    local?.destroy(new Error('the other broker has gone'))
  }

  drained(): void {
    this.#local?.resume()
  }

  stop(): void {
    this.#retry?.cancel()
    this.down()
  }

  /** From the other broker. */
  packet(packet: Packet): void {
    if (this.#early !== null) {
      this.#early.push(packet.type === PacketType.Publish ? { ...packet, payload: Buffer.from(packet.payload) } : packet)
      return
    }
    const local = this.#local
    if (local === null) return
    if (packet.type === PacketType.Publish) this.#publishHere(local, packet)
    else this.#answeredThere(local, packet as AckPacket)
    if (local.isFull) this.#remote?.pause()
  }

  #publishHere(local: RemoteLink, packet: PublishPacket): void {
    const { id, maxHops } = this.#options
    const { topic, qos, packetId, properties } = packet
    this.received += 1
    if (packet.dup) this.repeated += 1
    const trail = trailOf({ properties })
    const rule = this.#in.of(topic)[0]
    const name = rule?.nameOf(topic, '') ?? null
    const loops = trail.includes(id) || trail.length >= maxHops
    if (loops || name === null) {
      const why = loops ? 'it has been here, or has passed too many bridges' : 'no rule asks for it'
      this.#events.dropped(this.#messageOf(packet), loops ? 'mqttBridgeLoop' : 'mqttBridgeRefused', why)
      if (qos > 0) this.#remote?.send(answer(qos === 1 ? PacketType.Puback : PacketType.Pubrec, packetId, 0))
      return
    }
    const trailed = withTrail(properties, [...trail, id])
    const bytes = encoded({ ...packet, topic: name, properties: trailed }, 5)
    const why = typeof bytes === 'string' ? bytes : this.#beyondHere(name, bytes.length, trailed)
    if (why !== null) {
      this.#events.dropped(this.#messageOf(packet), 'mqttBridgeRefused', why)
      if (qos > 0)
        this.#remote?.send(answer(qos === 1 ? PacketType.Puback : PacketType.Pubrec, packetId, ReasonCode.ImplementationSpecificError))
      return
    }
    local.sendBytes(bytes as Buffer)
  }

  /** Why this broker would close the connection on a message, which then came again and again; null: it takes it, or refuses it alone. */
  #beyondHere(topic: string, bytes: number, { userProperties = [] }: Properties): string | null {
    const { maximumPacketSize, userPropertiesMax, topicLevelsMax, topicLengthMax, overTopicMax } = this.#broker.settings.mqtt
    if (bytes > maximumPacketSize) return `it has ${bytes} bytes, and this broker takes ${maximumPacketSize} (mqtt.maximumPacketSize)`
    if (userProperties.length > userPropertiesMax) return `it has more than ${userPropertiesMax} user properties (mqtt.userPropertiesMax)`
    if (overTopicMax === 'disconnect' && (topic.length > topicLengthMax || topic.split('/').length > topicLevelsMax))
      return 'its topic name is longer, or has more levels, than this broker takes (mqtt.topicLengthMax, topicLevelsMax)'
    return null
  }

  /** What the other broker says of what went there, or PUBREL of what came from there. */
  #answeredThere(local: RemoteLink, { type, packetId, reasonCode }: AckPacket): void {
    if (reasonCode >= 0x80 && (type === PacketType.Puback || type === PacketType.Pubrec)) {
      // It has no room: the session sends it again over the next connection.
      if (reasonCode === ReasonCode.QuotaExceeded)
        return this.#events.broken(new Error('it has no room for more messages; look at its log'))
      const parcel = this.#flights.get(packetId)
      if (parcel !== undefined) this.#events.refused(parcel, `${reasonName(reasonCode)}: the other broker refuses it`)
      this.#flights.delete(packetId)
      return local.send(answer(type, packetId, reasonCode))
    }
    if (type === PacketType.Puback || type === PacketType.Pubcomp) {
      this.sent += 1
      this.#flights.delete(packetId)
    }
    local.send(answer(type, packetId, 0))
  }

  #fromHere(packet: Packet): void {
    const remote = this.#remote
    if (remote === null) return
    if (packet.type === PacketType.Publish) this.#publishThere(remote, packet)
    else this.#answeredHere(remote, packet as AckPacket)
    if (remote.isFull) this.#local?.pause()
  }

  #publishThere(remote: RemoteLink, packet: PublishPacket): void {
    const { id, maxHops, outgoingRetain } = this.#options
    const { maximumPacketSize, retain: retains, version } = this.#limits!
    const { topic, qos, packetId, properties, dup } = packet
    const trail = trailOf({ properties })
    const rule = this.#out.of(topic)[0]
    const name = rule?.nameOf(topic, '') ?? null
    const message = this.#messageOf(packet)
    if (dup) this.repeated += 1
    if (name === null || trail.length >= maxHops) {
      const loops = name !== null
      this.#events.dropped(
        message,
        loops ? 'mqttBridgeLoop' : 'mqttBridgeRefused',
        loops ? 'it has passed too many bridges' : 'no rule asks for it',
      )
      if (qos > 0) this.#local?.send(answer(qos === 1 ? PacketType.Puback : PacketType.Pubrec, packetId, 0))
      return
    }
    const retain = packet.retain && retains && outgoingRetain
    const parcel: OutParcel = { message, topic: name, qos, retain }
    const trailed: Properties | undefined = version === 5 ? withTrail(properties, trail.includes(id) ? trail : [...trail, id]) : undefined
    const bytes = encoded({ ...packet, topic: name, retain, properties: trailed }, version)
    if (typeof bytes === 'string' || bytes.length > maximumPacketSize) {
      const why = typeof bytes === 'string' ? bytes : `it has ${bytes.length} bytes, and the other broker takes ${maximumPacketSize}`
      if (qos === 0) return this.#events.dropped(message, 'mqttBridgeRefused', why)
      this.#events.refused(parcel, `TOO_LARGE: ${why}`)
      return this.#local?.send(answer(qos === 1 ? PacketType.Puback : PacketType.Pubrec, packetId, ReasonCode.ImplementationSpecificError))
    }
    if (qos > 0) this.#flights.set(packetId, parcel)
    else this.sent += 1
    remote.sendBytes(bytes)
  }

  /** What this broker says of what came from there, or PUBREL of what went there. */
  #answeredHere(remote: RemoteLink, { type, packetId, reasonCode }: AckPacket): void {
    const isVerdict =
      reasonCode === ReasonCode.NotAuthorized ||
      reasonCode === ReasonCode.TopicNameInvalid ||
      reasonCode === ReasonCode.PayloadFormatInvalid
    if (reasonCode >= 0x80 && !isVerdict && type !== PacketType.Pubcomp && type !== PacketType.Pubrel)
      return this.#events.broken(new Error(`this broker cannot keep what comes from there (${reasonName(reasonCode)})`))
    const said = type === PacketType.Puback || type === PacketType.Pubrec ? reasonCode : 0
    remote.send(answer(type, packetId, said))
  }

  #messageOf({ topic, payload, qos, retain, properties }: PublishPacket): Message {
    return new Message({
      topic,
      payload: Buffer.from(payload),
      qos,
      retain,
      properties,
      origin: 'client',
      clientId: this.#options.clientId,
      receivedAt: this.#broker.clock.now(),
    })
  }
}

/** The packet, or why there can be none: a topic name that a prefix has made too long. */
function encoded(packet: PublishPacket, version: ProtocolVersion): Buffer | string {
  try {
    return encodeClientPacket(packet, version)
  } catch (error) {
    return (error as Error).message
  }
}

function answer(type: AckPacket['type'], packetId: number, reasonCode: number): AckPacket {
  return { type, packetId, reasonCode, properties: undefined }
}
