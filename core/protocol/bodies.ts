import { publishAckCodes } from '../reason.ts'
import { readConnect } from './connect.ts'
import { PacketType, type ProtocolVersion, type QoS } from './constants.ts'
import type { AckPacket, Packet, Properties, SubscribePacket, SubscriptionRequest, UnsubscribePacket } from './packets.ts'
import { Carrier, readProperties } from './properties.ts'
import { malformed, protocolError, type Reader } from './reader.ts'

// The reason codes that a packet may carry (2.4).
const releaseCodes: ReadonlySet<number> = new Set([0x00, 0x92])
const clientDisconnectCodes: ReadonlySet<number> = new Set([
  0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
])
const authCodes: ReadonlySet<number> = new Set([0x00, 0x18, 0x19])

/** Reads the body of any packet of a client's but PUBLISH. CONNECT sets the version. */
export function decodeBody(type: number, reader: Reader, context: { version: ProtocolVersion }): Packet {
  const five = context.version === 5
  switch (type) {
    case PacketType.Connect:
      return readConnect(reader, context)
    case PacketType.Puback:
    case PacketType.Pubrec:
      return readAck(type, reader, five, publishAckCodes)
    case PacketType.Pubrel:
    case PacketType.Pubcomp:
      return readAck(type, reader, five, releaseCodes)
    case PacketType.Subscribe: {
      const packet = beginSubscribe(reader, five)
      while (reader.left > 0) packet.subscriptions.push(readRequest(reader, five))
      return finishSubscribe(packet)
    }
    case PacketType.Unsubscribe: {
      const packet = beginUnsubscribe(reader, five)
      while (reader.left > 0) packet.filters.push(readFilter(reader))
      return finishUnsubscribe(packet)
    }
    case PacketType.Pingreq:
      reader.finish()
      return { type }
    case PacketType.Disconnect:
      return { type, ...readReason(reader, five, Carrier.Disconnect, clientDisconnectCodes) }
    default:
      if (!five) throw malformed('AUTH before MQTT 5')
      return { type: PacketType.Auth, ...readReason(reader, true, Carrier.Auth, authCodes) }
  }
}

function readAck(type: AckPacket['type'], reader: Reader, five: boolean, codes: ReadonlySet<number>): AckPacket {
  const packetId = reader.packetId()
  // Not spread into the packet: that takes four times as long, and there are as many of these as messages.
  const { reasonCode, properties } = readReason(reader, five, Carrier.Ack, codes)
  return { type, packetId, reasonCode, properties }
}

/** Reason code and properties, as acknowledgements, DISCONNECT and AUTH have them; `codes`: those that may stand there, null for any. */
export function readReason(
  reader: Reader,
  five: boolean,
  carrier: number,
  codes: ReadonlySet<number> | null,
): { reasonCode: number; properties: Properties | undefined } {
  let reasonCode = 0
  let properties: Properties | undefined
  if (five && reader.left > 0) {
    reasonCode = reader.byte()
    if (codes !== null && !codes.has(reasonCode))
      throw protocolError(`reason code 0x${reasonCode.toString(16)} does not belong in this packet`)
    if (reader.left > 0) properties = readProperties(reader, carrier)
  }
  reader.finish()
  return { reasonCode, properties }
}

/** SUBSCRIBE up to its filters. */
export function beginSubscribe(reader: Reader, five: boolean): SubscribePacket {
  const packetId = reader.packetId()
  const properties = five ? readProperties(reader, Carrier.Subscribe) : undefined
  return { type: PacketType.Subscribe, packetId, subscriptions: [], properties }
}

export function finishSubscribe(packet: SubscribePacket): SubscribePacket {
  if (packet.subscriptions.length === 0) throw protocolError('SUBSCRIBE without a filter') // [MQTT-3.8.3-2]
  return packet
}

/** UNSUBSCRIBE up to its filters. */
export function beginUnsubscribe(reader: Reader, five: boolean): UnsubscribePacket {
  const packetId = reader.packetId()
  const properties = five ? readProperties(reader, Carrier.Unsubscribe) : undefined
  return { type: PacketType.Unsubscribe, packetId, filters: [], properties }
}

export function finishUnsubscribe(packet: UnsubscribePacket): UnsubscribePacket {
  if (packet.filters.length === 0) throw protocolError('UNSUBSCRIBE without a filter') // [MQTT-3.10.3-2]
  return packet
}

export function readRequest(reader: Reader, five: boolean): SubscriptionRequest {
  const filter = readFilter(reader)
  const options = reader.byte()
  // [MQTT-3.8.3-5], and in 3.1.1 [MQTT-3-8.3-4]
  if ((options & (five ? 0xc0 : 0xfc)) !== 0) throw malformed('reserved bits in the options of a subscription')
  const qos = options & 3
  if (qos === 3) throw five ? protocolError('QoS 3') : malformed('QoS 3')
  const retainHandling = (options >>> 4) & 3
  if (retainHandling === 3) throw protocolError('Retain Handling 3')
  const noLocal = (options & 4) !== 0
  if (noLocal && filter.startsWith('$share/')) throw protocolError('No Local on a shared subscription') // [MQTT-3.8.3-4]
  return { filter, qos: qos as QoS, noLocal, retainAsPublished: (options & 8) !== 0, retainHandling: retainHandling as 0 | 1 | 2 }
}

export function readFilter(reader: Reader): string {
  const filter = reader.text()
  if (filter === '') throw malformed('an empty topic filter') // [MQTT-4.7.3-1]
  return filter
}
