import './buffer-methods.ts'
import { PacketType, type ProtocolVersion, type QoS, remainingLengthMax } from './constants.ts'
import type { AckPacket, ConnectPacket, Packet, Properties, SubscribePacket } from './packets.ts'
import { writeProperties } from './properties.ts'
import { PublishFrame } from './publish-frame.ts'
import { variableLength, Writer, writeVariable } from './writer.ts'

/** Payloads above this many bytes are not copied into a frame, but kept beside it and shared by all receivers. */
export const framePayloadMax = 16_384

/** The first byte of a PUBLISH. */
export function publishHeader(qos: QoS, retain: boolean, dup: boolean): number {
  return (PacketType.Publish << 4) | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0)
}

/** Encodes a PUBLISH once for all who get it with this version, QoS and retain flag. */
export function encodePublish(
  topic: string,
  payload: Buffer,
  qos: QoS,
  retain: boolean,
  dup: boolean,
  properties: Properties | undefined,
  version: ProtocolVersion,
): PublishFrame {
  const topicLength = Buffer.byteLength(topic)
  let fields: Writer | null = null
  if (version === 5 && properties !== undefined) {
    fields = new Writer()
    writeProperties(fields, properties)
  }
  const propertiesLength = version === 5 ? (fields?.length ?? 1) : 0
  const remaining = 2 + topicLength + (qos > 0 ? 2 : 0) + propertiesLength + payload.length
  if (remaining > remainingLengthMax)
    throw new RangeError(`a PUBLISH of ${remaining} bytes does not fit: MQTT allows ${remainingLengthMax}`)
  const apart = payload.length > framePayloadMax
  const length = 1 + variableLength(remaining) + remaining
  const head = Buffer.allocUnsafe(apart ? length - payload.length : length)
  const header = publishHeader(qos, retain, dup)
  head[0] = header
  let at = writeVariable(head, 1, remaining)
  head[at++] = topicLength >>> 8
  head[at++] = topicLength & 0xff
  at += topicLength === topic.length ? head.latin1Write(topic, at) : head.utf8Write(topic, at)
  let packetIdAt = -1
  if (qos > 0) {
    packetIdAt = at
    head[at++] = 0
    head[at++] = 0
  }
  if (version === 5) {
    if (fields === null) head[at++] = 0
    else at += fields.copyTo(head, at)
  }
  if (!apart) head.set(payload, at)
  return new PublishFrame(head, 0, head.length, header, packetIdAt, apart ? payload : null, false)
}

/** Encodes any packet. Strings beyond 65,535 bytes are a RangeError. */
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
    case PacketType.Puback:
    case PacketType.Pubrec:
    case PacketType.Pubrel:
    case PacketType.Pubcomp:
      return encodeAck(writer, packet, five)
    case PacketType.Pingreq:
    case PacketType.Pingresp:
      return writer.packet(packet.type << 4)
    case PacketType.Connect:
      writeConnect(writer, packet, version)
      return writer.packet(0x10)
    case PacketType.Connack:
      writer.byte(packet.sessionPresent ? 1 : 0)
      writer.byte(packet.reasonCode)
      if (five) writeProperties(writer, packet.properties)
      return writer.packet(0x20)
    case PacketType.Subscribe:
      writeSubscribe(writer, packet, five)
      return writer.packet(0x82)
    case PacketType.Suback:
      writer.twoBytes(packet.packetId)
      if (five) writeProperties(writer, packet.properties)
      for (const code of packet.reasonCodes) writer.byte(code)
      return writer.packet(0x90)
    case PacketType.Unsubscribe:
      writer.twoBytes(packet.packetId)
      if (five) writeProperties(writer, packet.properties)
      for (const filter of packet.filters) writer.text(filter)
      return writer.packet(0xa2)
    case PacketType.Unsuback:
      writer.twoBytes(packet.packetId)
      if (five) {
        writeProperties(writer, packet.properties)
        for (const code of packet.reasonCodes) writer.byte(code)
      }
      return writer.packet(0xb0)
    case PacketType.Disconnect:
    case PacketType.Auth:
      // Nothing to say beyond success: the shortest form says it.
      if (five && (packet.reasonCode !== 0 || packet.properties !== undefined)) {
        writer.byte(packet.reasonCode)
        if (packet.properties !== undefined) writeProperties(writer, packet.properties)
      }
      return writer.packet(packet.type << 4)
  }
}

function encodeAck(writer: Writer, { type, packetId, reasonCode, properties }: AckPacket, five: boolean): Buffer {
  writer.twoBytes(packetId)
  if (five && (reasonCode !== 0 || properties !== undefined)) {
    writer.byte(reasonCode)
    if (properties !== undefined) writeProperties(writer, properties)
  }
  return writer.packet((type << 4) | (type === PacketType.Pubrel ? 2 : 0))
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
