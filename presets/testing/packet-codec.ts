import { decodeBody, readReason } from '../../core/protocol/bodies.ts'
import { PacketType, type ProtocolVersion } from '../../core/protocol/constants.ts'
import { Decoder, type DecoderOptions, type PacketSink, type Peer } from '../../core/protocol/decoder.ts'
import { encodePacket as encodeBrokerPacket, encodePublish } from '../../core/protocol/encoder.ts'
import { headerFaults } from '../../core/protocol/headers.ts'
import type { ConnackPacket, Packet } from '../../core/protocol/packets.ts'
import { Carrier, readProperties } from '../../core/protocol/properties.ts'
import { malformed, type Reader } from '../../core/protocol/reader.ts'
import { encodeClientPacket } from '../../plugins/kit/client-packets.ts'

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
  switch (packet.type) {
    case PacketType.Publish: {
      const { topic, payload, qos, retain, dup, properties, packetId } = packet
      const frame = encodePublish(topic, payload, qos, retain, dup, properties, version)
      if (frame.packetIdAt > 0) frame.head.writeUInt16BE(packetId, frame.packetIdAt)
      return frame.payload === null ? frame.head : Buffer.concat([frame.head, frame.payload])
    }
    case PacketType.Connect:
    case PacketType.Subscribe:
    case PacketType.Unsubscribe:
      return encodeClientPacket(packet, version)
    case PacketType.Pingreq:
    case PacketType.Pingresp:
      return Buffer.from([packet.type << 4, 0])
    default:
      return encodeBrokerPacket(packet, version)
  }
}
