import { PacketType, type ProtocolVersion } from '../../core/protocol/constants.ts'
import type { ConnectPacket, Packet, SubscribePacket } from '../../core/protocol/packets.ts'
import { encodeProperties } from '../../core/protocol/property-bytes.ts'

const textMax = 65_535
const remainingMax = 268_435_455

/** A packet as a client sends it; acknowledgements and DISCONNECT without properties. Throws a `RangeError` for one that does not fit, or that no client sends. */
export function encodeClientPacket(packet: Packet, version: ProtocolVersion): Buffer {
  const five = version === 5
  switch (packet.type) {
    case PacketType.Connect:
      return whole(0x10, connectBody(packet, version))
    case PacketType.Publish: {
      const { topic, payload, qos, retain, dup, packetId, properties } = packet
      const header = 0x30 | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0)
      return whole(header, [text(topic), ...(qos > 0 ? [two(packetId)] : []), ...(five ? [encodeProperties(properties)] : []), payload])
    }
    case PacketType.Puback:
    case PacketType.Pubrec:
    case PacketType.Pubrel:
    case PacketType.Pubcomp: {
      const reason = five && packet.reasonCode !== 0 ? [Buffer.from([packet.reasonCode])] : []
      return whole((packet.type << 4) | (packet.type === PacketType.Pubrel ? 2 : 0), [two(packet.packetId), ...reason])
    }
    case PacketType.Subscribe:
      return whole(0x82, subscribeBody(packet, five))
    case PacketType.Unsubscribe:
      return whole(0xa2, [two(packet.packetId), ...(five ? [encodeProperties(packet.properties)] : []), ...packet.filters.map(text)])
    case PacketType.Pingreq:
    case PacketType.Disconnect:
      return Buffer.from([packet.type << 4, 0])
    default:
      throw new RangeError(`a client sends no packet of type ${packet.type}`)
  }
}

function connectBody(
  { bridge, cleanStart, keepAlive, clientId, username, password, will, properties }: ConnectPacket,
  version: ProtocolVersion,
) {
  const five = version === 5
  const flags =
    (cleanStart ? 0x02 : 0) |
    (will === undefined ? 0 : 0x04 | (will.qos << 3) | (will.retain ? 0x20 : 0)) |
    (password === undefined ? 0 : 0x40) |
    (username === undefined ? 0 : 0x80)
  return [
    text(version === 3 ? 'MQIsdp' : 'MQTT'),
    Buffer.from([version | (bridge ? 0x80 : 0), flags]),
    two(keepAlive),
    ...(five ? [encodeProperties(properties)] : []),
    text(clientId),
    ...(will === undefined ? [] : [...(five ? [encodeProperties(will.properties)] : []), text(will.topic), binary(will.payload)]),
    ...(username === undefined ? [] : [text(username)]),
    ...(password === undefined ? [] : [binary(password)]),
  ]
}

function subscribeBody({ packetId, properties, subscriptions }: SubscribePacket, five: boolean): Buffer[] {
  const filters = subscriptions.flatMap(({ filter, qos, noLocal, retainAsPublished, retainHandling }) => {
    const options = five ? qos | (noLocal ? 4 : 0) | (retainAsPublished ? 8 : 0) | (retainHandling << 4) : qos
    return [text(filter), Buffer.from([options])]
  })
  return [two(packetId), ...(five ? [encodeProperties(properties)] : []), ...filters]
}

function whole(header: number, parts: readonly Buffer[]): Buffer {
  let length = 0
  for (const part of parts) length += part.length
  if (length > remainingMax) throw new RangeError(`a packet of ${length} bytes does not fit: MQTT allows ${remainingMax}`)
  const head = [header]
  let left = length
  do {
    head.push((left & 0x7f) | (left > 0x7f ? 0x80 : 0))
    left >>>= 7
  } while (left > 0)
  return Buffer.concat([Buffer.from(head), ...parts], head.length + length)
}

function two(value: number): Buffer {
  return Buffer.from([value >>> 8, value & 0xff])
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  if (bytes.length > textMax)
    throw new RangeError(`a string of ${bytes.length} bytes does not fit: MQTT allows 65,535 ("${value.slice(0, 32)}…")`)
  return Buffer.concat([two(bytes.length), bytes])
}

function binary(bytes: Buffer): Buffer {
  if (bytes.length > textMax) throw new RangeError(`binary data of ${bytes.length} bytes does not fit: MQTT allows 65,535`)
  return Buffer.concat([two(bytes.length), bytes])
}
