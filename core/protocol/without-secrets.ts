import { PacketType } from './constants.ts'
import type { Packet } from './packets.ts'

const hidden = Buffer.from('***')

/** A packet as traces show it: there is a password or there is none, but not which. */
export function withoutSecrets(packet: Packet): Packet {
  if (packet.type !== PacketType.Connect && packet.type !== PacketType.Auth) return packet
  const shown = { ...packet }
  if (shown.type === PacketType.Connect && shown.password !== undefined) shown.password = hidden
  if (shown.properties?.authenticationData !== undefined) shown.properties = { ...shown.properties, authenticationData: hidden }
  return shown
}
