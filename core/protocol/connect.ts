import { MqttError } from '../errors.ts'
import { ReasonCode } from '../reason.ts'
import { PacketType, type ProtocolVersion, type QoS } from './constants.ts'
import type { ConnectPacket, WillPacket } from './packets.ts'
import { Carrier, readProperties } from './properties.ts'
import { malformed, protocolError, type Reader } from './reader.ts'

const Flag = { Reserved: 0x01, CleanStart: 0x02, Will: 0x04, WillQoS: 0x18, WillRetain: 0x20, Password: 0x40, Username: 0x80 } as const

/** Reads the body of CONNECT, and tells the decoder which version is spoken from here on. */
export function readConnect(reader: Reader, context: { version: ProtocolVersion }): ConnectPacket {
  const name = reader.text()
  if (name !== 'MQTT' && name !== 'MQIsdp') throw protocolError('the protocol name is neither MQTT nor MQIsdp') // [MQTT-3.1.2-1]
  const levelByte = reader.byte()
  const level = levelByte & 0x7f
  const bridge = levelByte > 0x7f
  const known = name === 'MQTT' ? level === 4 || (level === 5 && !bridge) : level === 3
  // Refused in the form that this level would read [MQTT-3.1.2-2].
  context.version = level >= 5 ? 5 : level === 3 ? 3 : 4
  if (!known) throw new MqttError(ReasonCode.UnsupportedProtocolVersion, `${name} with protocol level ${level} is not supported`)
  const version = level as ProtocolVersion

  const flags = reader.byte()
  checkFlags(flags, version)
  const keepAlive = reader.twoBytes()
  const properties = version === 5 ? readProperties(reader, Carrier.Connect) : undefined
  const clientId = reader.text()
  const will = (flags & Flag.Will) !== 0 ? readWill(reader, flags, version) : undefined
  // In MQTT 3.1 the remaining length takes precedence: both may be announced and missing.
  const username = (flags & Flag.Username) !== 0 && !(version === 3 && reader.left === 0) ? reader.text() : undefined
  const password = (flags & Flag.Password) !== 0 && !(version === 3 && reader.left === 0) ? reader.binary() : undefined
  reader.finish()
  const cleanStart = (flags & Flag.CleanStart) !== 0
  return { type: PacketType.Connect, version, bridge, clientId, cleanStart, keepAlive, username, password, will, properties }
}

function checkFlags(flags: number, version: ProtocolVersion): void {
  if ((flags & Flag.Reserved) !== 0) throw malformed('the reserved flag of CONNECT is set') // [MQTT-3.1.2-3]
  if ((flags & Flag.Will) === 0 && (flags & (Flag.WillQoS | Flag.WillRetain)) !== 0) {
    throw malformed('Will QoS or Will Retain without a will') // [MQTT-3.1.2-11] [MQTT-3.1.2-13]
  }
  if ((flags & Flag.WillQoS) === Flag.WillQoS) throw malformed('Will QoS 3') // [MQTT-3.1.2-12]
  if (version < 5 && (flags & Flag.Password) !== 0 && (flags & Flag.Username) === 0) {
    throw malformed('a password without a user name') // [MQTT-3.1.2-22] of 3.1.1
  }
}

function readWill(reader: Reader, flags: number, version: ProtocolVersion): WillPacket {
  const properties = version === 5 ? readProperties(reader, Carrier.Will) : undefined
  const topic = reader.text()
  if (topic === '') throw malformed('an empty will topic')
  if (topic.includes('+') || topic.includes('#')) throw new MqttError(ReasonCode.TopicNameInvalid, 'the will topic holds a wildcard')
  const payload = reader.binary()
  return { topic, payload, qos: ((flags & Flag.WillQoS) >>> 3) as QoS, retain: (flags & Flag.WillRetain) !== 0, properties }
}
