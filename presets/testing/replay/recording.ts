import { OperatorError } from '../../../core/errors.ts'
import { PacketType, type ProtocolVersion } from '../../../core/protocol/constants.ts'
import type { ConnectPacket, Packet, Properties, SubscribePacket, WillPacket } from '../../../core/protocol/packets.ts'
import type { TracePiece } from '../../../plugins/admin/answers.ts'

/** A line and which one it is in the file, from 1 on. */
export interface NumberedLine {
  readonly number: number
  readonly line: TracePiece
}

/** What a recording says. */
export interface Recording {
  readonly lines: readonly NumberedLine[]
  /** Packets that its reader did not take in time, and that are not in it. */
  readonly lost: number
}

const types = new Map<string, number>(Object.entries(PacketType).map(([name, type]) => [name.toUpperCase(), type]))
const ways: readonly unknown[] = ['in', 'out', 'open', 'end']

/** Reads the pieces of a trace. One that is none is an `OperatorError` that names its line. */
export function readRecording(pieces: Iterable<unknown>): Recording {
  const lines: NumberedLine[] = []
  let lost = 0
  let number = 0
  for (const piece of pieces) {
    number += 1
    const { at, id, way, packet, dropped, missing } = (piece ?? {}) as Readonly<Record<string, unknown>>
    if (typeof dropped === 'number') lost += dropped
    // What this node has seen is not known to be anything.
    else if (typeof missing === 'object') continue
    else if (
      typeof at === 'number' &&
      typeof id === 'string' &&
      ways.includes(way) &&
      (way === 'open' || way === 'end' || types.has(String(packet)))
    )
      lines.push({ number, line: piece as TracePiece })
    else
      throw new OperatorError(
        'ERR_ARGUMENTS',
        `replay: line ${number} is none of a trace; make one with: mqttx-broker trace ID --json > FILE`,
      )
  }
  return { lines, lost }
}

/** What a recording leaves out, and is given anew. */
export interface Filling {
  /** The password of a user name; `undefined`: none is sent. */
  passwordOf(username: string): string | undefined
  /** The version of MQTT that the client speaks. */
  readonly version: ProtocolVersion
}

/**
 * The packet of a line. What is not in the recording is made up: a payload, or correlation data, of the same length, and a password by its user name. `packetId`: in
 * place of the one that was recorded.
 */
export function packetOf(
  { id, packet, at: _at, way: _way, node: _node, ...fields }: TracePiece,
  filling: Filling,
  packetId?: number,
): Packet {
  const type = types.get(packet!)!
  const { payloadBytes, payload, will, ...rest } = fields as { payloadBytes?: number; payload?: unknown; will?: WillLine }
  const properties = propertiesOf(fields.properties)
  const plain = { type, ...rest, ...(packetId === undefined ? {} : { packetId }), properties }
  switch (type) {
    case PacketType.Connect: {
      const username = fields.username as string | undefined
      const password = username === undefined ? undefined : filling.passwordOf(username)
      const connect = plain as unknown as ConnectPacket
      return {
        ...connect,
        clientId: id,
        username,
        password: password === undefined ? undefined : Buffer.from(password),
        will: will === undefined ? undefined : willOf(will, payload),
      }
    }
    case PacketType.Publish:
      return { ...plain, payload: payloadOf(payload, payloadBytes) } as unknown as Packet
    default:
      return plain as unknown as Packet
  }
}

/** The CONNECT of a client that was connected when the recording began: without a will, and with a new session. */
export function connectOf({ id, user, expirySeconds }: TracePiece, { version, passwordOf }: Filling): ConnectPacket {
  const username = typeof user === 'string' ? user : undefined
  const password = username === undefined ? undefined : passwordOf(username)
  const sessionExpiry = typeof expirySeconds === 'number' ? expirySeconds : 0xffffffff
  return {
    type: PacketType.Connect,
    version,
    bridge: false,
    clientId: id,
    // Before MQTT 5 a session that begins anew ends with its connection.
    cleanStart: true,
    keepAlive: 0,
    username,
    password: password === undefined ? undefined : Buffer.from(password),
    will: undefined,
    properties: version === 5 ? { sessionExpiry } : undefined,
  }
}

/** The SUBSCRIBE of such a client; null: it had no subscription. */
export function subscribeOf({ subscriptions }: TracePiece, packetId: number): SubscribePacket | null {
  const wanted = subscriptions as Omit<SubscribePacket['subscriptions'][number], 'retainHandling'>[]
  if (!Array.isArray(wanted) || wanted.length === 0) return null
  return {
    type: PacketType.Subscribe,
    packetId,
    subscriptions: wanted.map(one => ({ ...one, retainHandling: 2 })),
    properties: undefined,
  }
}

interface WillLine {
  readonly topic: string
  readonly qos?: WillPacket['qos']
  readonly retain?: boolean
  readonly payloadBytes?: number
  readonly properties?: unknown
}

function willOf({ topic, qos = 0, retain = false, payloadBytes, properties }: WillLine, payload: unknown): WillPacket {
  return { topic, qos, retain, payload: payloadOf(payload, payloadBytes), properties: propertiesOf(properties) }
}

function payloadOf(recorded: unknown, length = 0): Buffer {
  if (typeof recorded === 'string') return Buffer.from(recorded)
  if (recorded !== undefined) return Buffer.from((recorded as { base64: string }).base64, 'base64')
  return Buffer.alloc(length, 'x')
}

function propertiesOf(recorded: unknown): Properties | undefined {
  if (recorded === undefined) return undefined
  const { correlationDataBytes, ...rest } = recorded as Properties & { correlationDataBytes?: number }
  return correlationDataBytes === undefined ? rest : { ...rest, correlationData: Buffer.alloc(correlationDataBytes, 'x') }
}
