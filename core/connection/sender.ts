import { Delivery } from '../messages/delivery.ts'
import type { Message } from '../messages/message.ts'
import { changeFault } from '../messages/publish-fault.ts'
import { PacketType } from '../protocol/constants.ts'
import { encodePacket } from '../protocol/encoder.ts'
import type { BrokerPacket, Properties } from '../protocol/packets.ts'
import type { PublishFrame } from '../protocol/publish-frame.ts'
import { ReasonCode } from '../reason.ts'
import type { DeliveryTerms } from '../routing/delivery-terms.ts'
import type { Connection } from './connection.ts'

// A topic shorter than this gains nothing by an alias.
const aliasWorth = 8

const pingresp = Buffer.from([0xd0, 0])

/** Writes packets to one connection, within what its client said in CONNECT that it accepts. */
export class Sender {
  readonly #client: Connection
  #aliases: Map<string, number> | null = null
  /** Bytes. */
  maximumPacketSize = Number.POSITIVE_INFINITY
  topicAliasMaximum = 0
  /** The client wants reason strings. */
  problemInformation = true

  constructor(client: Connection) {
    this.#client = client
  }

  /**
   * Writes one packet; one that is larger than the client accepts loses its optional properties [MQTT-3.1.2-24]. False where
   * it is too large even so: the client would wait for its answer for ever, so it is disconnected instead.
   */
  packet(packet: BrokerPacket): boolean {
    const client = this.#client
    if (client.closed) return false
    let bytes = encodePacket(packet, client.version)
    if (bytes.length > this.maximumPacketSize) {
      bytes = encodePacket({ ...packet, properties: withoutText(packet.properties) }, client.version)
      if (bytes.length > this.maximumPacketSize) {
        if (packet.type !== PacketType.Disconnect && packet.type !== PacketType.Connack)
          client.close(ReasonCode.PacketTooLarge, 'an answer is larger than the client accepts')
        return false
      }
    }
    if (client.traced) client.host.hooks.onPacketSent.call(client, packet)
    client.outbox.bytes(bytes)
    this.#sent(bytes.length)
    return true
  }

  /** PUBACK or PUBREC. */
  publishAck(qos: 1 | 2, packetId: number, reasonCode: number, properties: Properties | undefined): void {
    const client = this.#client
    if (client.state !== 'connected') return
    const type = qos === 1 ? PacketType.Puback : PacketType.Pubrec
    if (client.version !== 5 || (reasonCode === 0 && properties === undefined)) {
      this.#shortAck(type, qos === 1 ? 0x40 : 0x50, packetId)
      return
    }
    // [MQTT-3.1.2-29]
    this.packet({ type, packetId, reasonCode, properties: this.problemInformation ? properties : undefined })
  }

  /** PUBREL or PUBCOMP. */
  ack(type: typeof PacketType.Pubrel | typeof PacketType.Pubcomp, packetId: number, reasonCode: number): void {
    const client = this.#client
    if (client.state !== 'connected') return
    if (reasonCode === 0 || client.version !== 5) this.#shortAck(type, type === PacketType.Pubrel ? 0x62 : 0x70, packetId)
    else this.packet({ type, packetId, reasonCode, properties: undefined })
  }

  #shortAck(type: 4 | 5 | 6 | 7, header: number, packetId: number): void {
    const client = this.#client
    if (client.traced)
      client.host.hooks.onPacketSent.call(client, { type, packetId, reasonCode: ReasonCode.Success, properties: undefined })
    client.outbox.ack(header, packetId)
    this.#sent(4)
  }

  pubrel(packetId: number): void {
    this.ack(PacketType.Pubrel, packetId, ReasonCode.Success)
  }

  pingresp(): void {
    const client = this.#client
    if (client.traced) client.host.hooks.onPacketSent.call(client, { type: PacketType.Pingresp })
    client.outbox.bytes(pingresp)
    this.#sent(2)
  }

  auth(reasonCode: number, data: Buffer | undefined, reasonString?: string): void {
    const properties: Properties = { authenticationMethod: this.#client.auth!.method }
    if (data !== undefined) properties.authenticationData = data
    if (reasonString !== undefined && this.problemInformation) properties.reasonString = reasonString
    this.packet({ type: PacketType.Auth, reasonCode, properties })
  }

  /** DISCONNECT, which only MQTT 5 has from a server; with a code that it may carry. */
  disconnect(reasonCode: number, reasonString: string, serverReference?: string): void {
    // It may quote what the client sent, which may be as long as a text can be.
    const said = this.problemInformation ? { reasonString: reasonString.slice(0, 1024) } : undefined
    const properties = serverReference === undefined ? said : { ...said, serverReference }
    this.packet({ type: PacketType.Disconnect, reasonCode, properties })
  }

  /**
   * Writes one PUBLISH. False where it is not sent at all: a plugin filtered it, it expired, or it is larger than the client
   * accepts. A repeat (`dup`) does not expire: its first sending has begun. Plugins make of it anew what the client gets.
   */
  publish(message: Message, terms: DeliveryTerms, packetId: number, dup: boolean): boolean {
    const client = this.#client
    const { host, version } = client
    if (client.state !== 'connected') return true
    const { qos, identifiers } = terms
    let { retain } = terms
    let { topic, properties } = message
    let own = false
    let payload: Buffer | undefined
    if (host.deliverUsed) {
      const delivery = new Delivery(message, qos, retain, dup)
      if (host.hooks.onDeliver.call(client, delivery) === false) return this.#left(message, 'filtered')
      retain = delivery.retain
      if (delivery.changed) {
        if (changeFault(host, topic, properties, delivery) !== undefined) return this.#left(message, 'filtered')
        own = true
        ;({ topic, properties, payload } = delivery)
      }
    }
    if (message.properties?.messageExpiry !== undefined) {
      // Never more than it came with: a will's or the server's own message may be a little younger than the coarse clock.
      const left = Math.min(Math.ceil((message.expiresAt - host.now) / 1000), message.properties.messageExpiry)
      if (left <= 0 && !dup) return this.#left(message, 'expired') // [MQTT-3.3.2-5]
      if (left !== message.properties.messageExpiry) {
        own = true
        properties = { ...properties, messageExpiry: Math.max(left, 0) } // [MQTT-3.3.2-6]
      }
    }
    if (version === 5 && identifiers !== null) {
      own = true
      properties = { ...properties, subscriptionIdentifiers: identifiers as number[] } // [MQTT-3.3.4-3]
    }
    const alias = version === 5 && this.topicAliasMaximum > 0 && topic.length >= aliasWorth ? this.#alias(topic) : 0
    let frame: PublishFrame
    if (alias > 0) {
      const known = this.#aliases!.has(topic)
      frame = message.frameWith(version, known ? '' : topic, qos, retain, { ...properties, topicAlias: alias }, payload)
      if (!known) {
        // An alias that the client never got must not be used later; and the message may fit without it.
        if (frame.length <= this.maximumPacketSize) this.#aliases!.set(topic, alias)
        else frame = message.frameWith(version, topic, qos, retain, properties, payload)
      }
    } else {
      frame = own ? message.frameWith(version, topic, qos, retain, properties, payload) : message.frame(version, qos, retain)
    }
    if (frame.length > this.maximumPacketSize) return this.#left(message, 'tooLarge') // [MQTT-3.1.2-25]
    client.outbox.publish(frame, packetId, dup)
    const { counters } = host
    counters.sentByQoS[qos] += 1
    counters.packetsSent += 1
    counters.bytesSent += frame.length
    if (client.traced) {
      // As this client gets it, but with the topic in full where an alias stands for it.
      const fields = { topic, payload: payload ?? message.payload, properties: version === 5 ? properties : undefined }
      host.hooks.onPacketSent.call(client, { type: PacketType.Publish, qos, retain, dup, packetId, ...fields })
    }
    if (message.timedFrom !== null && !dup) host.timings.delivered(message.timedFrom)
    if (host.deliveredUsed) host.hooks.onDelivered.call(client, message)
    return true
  }

  #left(message: Message, reason: 'filtered' | 'expired' | 'tooLarge'): false {
    this.#client.host.drop(this.#client.clientId, message, reason)
    return false
  }

  /** The alias of a topic, or the next free one for it; 0 where the client takes no more. */
  #alias(topic: string): number {
    this.#aliases ??= new Map()
    const next = this.#aliases.size + 1
    return this.#aliases.get(topic) ?? (next > this.topicAliasMaximum ? 0 : next) // [MQTT-3.1.2-26]
  }

  #sent(bytes: number): void {
    const client = this.#client
    const { counters } = client.host
    counters.packetsSent += 1
    counters.bytesSent += bytes
    // Answers pile up only for a client that asks and does not read.
    if (client.outbox.blocked && client.outbox.pendingBytes > client.host.settings.mqtt.writeBufferMax) client.pauseFor('outbox')
  }
}

function withoutText(properties: Properties | undefined): Properties | undefined {
  if (properties === undefined) return undefined
  const { reasonString: _reason, userProperties: _user, ...rest } = properties
  return rest
}
