import type { Client } from '../../core/connection/client.ts'
import { PacketType } from '../../core/protocol/constants.ts'
import type { Packet } from '../../core/protocol/packets.ts'

const names = Object.fromEntries(Object.entries(PacketType).map(([name, type]) => [type, name.toUpperCase()]))

/** A packet for the log: never a password, and a payload only by its length. */
export function packetLine(client: Client, packet: Readonly<Packet>): object {
  const { type, ...fields } = packet as unknown as Record<string, unknown> & { type: number }
  const line: Record<string, unknown> = { clientId: client.clientId, packet: names[type] }
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined || name === 'password') continue
    if (Buffer.isBuffer(value)) line[`${name}Bytes`] = value.length
    else if (name === 'will') line.will = { topic: (value as { topic: string }).topic }
    else if (name === 'properties') line.properties = withoutSecrets(value as object)
    else line[name] = value
  }
  return line
}

function withoutSecrets(properties: object): object {
  const { authenticationData: _secret, correlationData, ...rest } = properties as Record<string, unknown>
  return correlationData === undefined ? rest : { ...rest, correlationDataBytes: (correlationData as Buffer).length }
}
