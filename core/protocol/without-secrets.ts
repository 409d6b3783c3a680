import { PacketType } from './constants.ts'
import type { Packet } from './packets.ts'

const hidden = Buffer.from('***')

/** A packet as traces show it: there is a password or there is none, but not which. `named`: the user name is no secret. */
export function withoutSecrets(packet: Packet, named = true): Packet {
  if (packet.type !== PacketType.Connect && packet.type !== PacketType.Auth) return packet
  const shown = { ...packet }
  if (shown.type === PacketType.Connect && shown.password !== undefined) shown.password = hidden
  if (shown.type === PacketType.Connect && !named && shown.username !== undefined) shown.username = '***'
  if (shown.properties?.authenticationData !== undefined) shown.properties = { ...shown.properties, authenticationData: hidden }
  return shown
}
