import type { Client } from '../../core/connection/client.ts'
import { PacketType } from '../../core/protocol/constants.ts'
import type { ConnectPacket, Packet } from '../../core/protocol/packets.ts'

const names = Object.fromEntries(Object.entries(PacketType).map(([name, type]) => [type, name.toUpperCase()]))

/** A packet for the log: never a password, and a payload only by its length. */
export function packetLine(client: Pick<Client, 'clientId'>, packet: Readonly<Packet>): object {
  const { type, ...fields } = packet as unknown as Record<string, unknown> & { type: number }
  const line: Record<string, unknown> = { clientId: client.clientId, packet: names[type] }
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined || name === 'password') continue
    if (Buffer.isBuffer(value)) line[`${name}Bytes`] = value.length
    else if (name === 'will') line.will = willLine(value as Will)
    else if (name === 'properties') line.properties = withoutSecrets(value as object)
    else line[name] = value
  }
  return line
}

type Will = NonNullable<ConnectPacket['will']>

function willLine({ topic, qos, retain, payload, properties }: Will): object {
  const shown = properties === undefined ? {} : { properties: withoutSecrets(properties) }
  return { topic, qos, retain, payloadBytes: payload.length, ...shown }
}

/** A payload for a line: text where it is text; JSON has no bytes. */
export function payloadLine(bytes: Buffer): string | { readonly base64: string } {
  const text = bytes.toString('utf8')
  return Buffer.from(text).equals(bytes) ? text : { base64: bytes.toString('base64') }
}

function withoutSecrets(properties: object): object {
  const { authenticationData: _secret, correlationData, ...rest } = properties as Record<string, unknown>
  return correlationData === undefined ? rest : { ...rest, correlationDataBytes: (correlationData as Buffer).length }
}
