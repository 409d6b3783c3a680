import { decodeBody, readReason } from '../../core/protocol/bodies.ts'
import { PacketType, type ProtocolVersion } from '../../core/protocol/constants.ts'
import { Decoder, type DecoderOptions, type PacketSink, type Peer } from '../../core/protocol/decoder.ts'
import { encodePacket as encodeBrokerPacket, encodePublish } from '../../core/protocol/encoder.ts'
import { headerFaults } from '../../core/protocol/headers.ts'
import type { ConnackPacket, ConnectPacket, Packet, SubscribePacket } from '../../core/protocol/packets.ts'
import { Carrier, readProperties, writeProperties } from '../../core/protocol/properties.ts'
import { malformed, type Reader } from '../../core/protocol/reader.ts'
import { Writer } from '../../core/protocol/writer.ts'

/** Who reads a packet: a server must not be sent what only servers send, nor a client what only clients do. */
export type Receiver = 'server' | 'client'

const { Connect, Subscribe, Unsubscribe, Pingreq } = PacketType
const broker: Peer = { faults: headerFaults([Connect, Subscribe, Unsubscribe, Pingreq], 'client'), body: decodeBrokerBody }

/** The decoder of the broker, which reads what clients send, or (`receiver: 'client'`) what brokers do. */
export class PacketDecoder extends Decoder {
  readonly receiver: Receiver

  constructor(sink: PacketSink, { receiver, ...options }: Omit<DecoderOptions, 'peer'> & { readonly receiver: Receiver }) {
    super(sink, receiver === 'client' ? { ...options, peer: broker } : options)
    this.receiver = receiver
  }
}

function decodeBrokerBody(type: number, reader: Reader, context: { version: ProtocolVersion }): Packet {
  const five = context.version === 5
  switch (type) {
    case PacketType.Connack:
      return readConnack(reader, five)
    case PacketType.Suback: {
      const packetId = reader.packetId()
      const properties = five ? readProperties(reader, Carrier.Suback) : undefined
      return { type, packetId, reasonCodes: rest(reader), properties }
    }
    case PacketType.Unsuback: {
      const packetId = reader.packetId()
      const properties = five ? readProperties(reader, Carrier.Unsuback) : undefined
      const reasonCodes = five ? rest(reader) : []
      reader.finish()
      return { type, packetId, reasonCodes, properties }
    }
    case PacketType.Pingresp:
      reader.finish()
      return { type }
    case PacketType.Disconnect:
      return { type, ...readReason(reader, five, Carrier.Disconnect, null) }
    default:
      return decodeBody(type, reader, context)
  }
}

function readConnack(reader: Reader, five: boolean): ConnackPacket {
  const flags = reader.byte()
  if (flags > 1) throw malformed('reserved bits in the flags of CONNACK')
  const reasonCode = reader.byte()
  const properties = five ? readProperties(reader, Carrier.Connack) : undefined
  reader.finish()
  return { type: PacketType.Connack, sessionPresent: flags === 1, reasonCode, properties }
}

function rest(reader: Reader): number[] {
  const codes = [...reader.bytes.subarray(reader.at, reader.end)]
  if (codes.length === 0) throw malformed('an acknowledgement without reason codes')
  reader.at = reader.end
  return codes
}

/** Encodes any packet, of a client's or a broker's. Strings beyond 65,535 bytes are a RangeError. */
export function encodePacket(packet: Packet, version: ProtocolVersion): Buffer {
  const writer = new Writer()
  const five = version === 5
  switch (packet.type) {
    case PacketType.Publish: {
      const { topic, payload, qos, retain, dup, properties, packetId } = packet
      const frame = encodePublish(topic, payload, qos, retain, dup, properties, version)
      if (frame.packetIdAt > 0) frame.head.writeUInt16BE(packetId, frame.packetIdAt)
      return frame.payload === null ? frame.head : Buffer.concat([frame.head, frame.payload])
    }
    case PacketType.Connect:
      writeConnect(writer, packet, version)
      return writer.packet(0x10)
    case PacketType.Subscribe:
      writeSubscribe(writer, packet, five)
      return writer.packet(0x82)
    case PacketType.Unsubscribe:
      writer.twoBytes(packet.packetId)
      if (five) writeProperties(writer, packet.properties)
      for (const filter of packet.filters) writer.text(filter)
      return writer.packet(0xa2)
    case PacketType.Pingreq:
    case PacketType.Pingresp:
      return writer.packet(packet.type << 4)
    default:
      return encodeBrokerPacket(packet, version)
  }
}

function writeConnect(writer: Writer, packet: ConnectPacket, version: ProtocolVersion): void {
  const { will, username, password } = packet
  writer.text(version === 3 ? 'MQIsdp' : 'MQTT')
  writer.byte(version | (packet.bridge ? 0x80 : 0))
  let flags = packet.cleanStart ? 0x02 : 0
  if (will !== undefined) flags |= 0x04 | (will.qos << 3) | (will.retain ? 0x20 : 0)
  if (password !== undefined) flags |= 0x40
  if (username !== undefined) flags |= 0x80
  writer.byte(flags)
  writer.twoBytes(packet.keepAlive)
  if (version === 5) writeProperties(writer, packet.properties)
  writer.text(packet.clientId)
  if (will !== undefined) {
    if (version === 5) writeProperties(writer, will.properties)
    writer.text(will.topic)
    writer.binary(will.payload)
  }
  if (username !== undefined) writer.text(username)
  if (password !== undefined) writer.binary(password)
}

function writeSubscribe(writer: Writer, { packetId, properties, subscriptions }: SubscribePacket, five: boolean): void {
  writer.twoBytes(packetId)
  if (five) writeProperties(writer, properties)
  for (const { filter, qos, noLocal, retainAsPublished, retainHandling } of subscriptions) {
    writer.text(filter)
    writer.byte(five ? qos | (noLocal ? 4 : 0) | (retainAsPublished ? 8 : 0) | (retainHandling << 4) : qos)
  }
}
