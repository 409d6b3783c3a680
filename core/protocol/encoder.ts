import './buffer-methods.ts'
import { PacketType, type ProtocolVersion, type QoS, remainingLengthMax } from './constants.ts'
import type { BrokerPacket, Properties } from './packets.ts'
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

/** Encodes what a broker answers. Strings beyond 65,535 bytes are a RangeError. */
export function encodePacket(packet: BrokerPacket, version: ProtocolVersion): Buffer {
  const writer = new Writer()
  const five = version === 5
  switch (packet.type) {
    case PacketType.Puback:
    case PacketType.Pubrec:
    case PacketType.Pubrel:
    case PacketType.Pubcomp:
      writer.twoBytes(packet.packetId)
      if (five) writeReason(writer, packet)
      return writer.packet((packet.type << 4) | (packet.type === PacketType.Pubrel ? 2 : 0))
    case PacketType.Connack:
      writer.byte(packet.sessionPresent ? 1 : 0)
      writer.byte(packet.reasonCode)
      if (five) writeProperties(writer, packet.properties)
      return writer.packet(0x20)
    case PacketType.Suback:
      writer.twoBytes(packet.packetId)
      if (five) writeProperties(writer, packet.properties)
      for (const code of packet.reasonCodes) writer.byte(code)
      return writer.packet(0x90)
    case PacketType.Unsuback:
      writer.twoBytes(packet.packetId)
      if (five) {
        writeProperties(writer, packet.properties)
        for (const code of packet.reasonCodes) writer.byte(code)
      }
      return writer.packet(0xb0)
    case PacketType.Disconnect:
    case PacketType.Auth:
      if (five) writeReason(writer, packet)
      return writer.packet(packet.type << 4)
  }
}

// Nothing to say beyond success: the shortest form says it.
function writeReason(writer: Writer, { reasonCode, properties }: { reasonCode: number; properties: Properties | undefined }): void {
  if (reasonCode === 0 && properties === undefined) return
  writer.byte(reasonCode)
  if (properties !== undefined) writeProperties(writer, properties)
}
