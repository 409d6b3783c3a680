import { ReasonCode } from '../reason.ts'
import { PacketType } from './constants.ts'

export interface HeaderFault {
  readonly reasonCode: ReasonCode
  readonly message: string
  readonly ofRequest?: boolean
}

const { Connack, Suback, Unsuback, Pingresp, Connect, Subscribe, Unsubscribe } = PacketType
// PUBREL, SUBSCRIBE and UNSUBSCRIBE have 0010 in their low bits, the others but PUBLISH nothing [MQTT-2.1.3-1].
const flagged: ReadonlySet<number> = new Set([PacketType.Pubrel, Subscribe, Unsubscribe])
// What a client asks for, PUBLISH apart.
const requests: ReadonlySet<number> = new Set([Subscribe, Unsubscribe])

/** All 256 first bytes, judged once: what is wrong with a packet by its first byte, null for nothing. `foreign`: types that only the other side, `reader`, may send. */
export function headerFaults(foreign: readonly number[], reader: 'server' | 'client'): readonly (HeaderFault | null)[] {
  return Array.from({ length: 256 }, (_, header) => judge(header, foreign, reader))
}

/** What is wrong with a packet from a client. */
export const clientFaults = headerFaults([Connack, Suback, Unsuback, Pingresp], 'server')

const before = (message: string): HeaderFault => ({ reasonCode: ReasonCode.ProtocolError, message })
const other = before('something else than CONNECT came first') // [MQTT-3.1.0-1]
const tls = before('something else than CONNECT came first, TLS by its look: give the client the port of TLS, or turn its TLS off')
const http = before('something else than CONNECT came first, HTTP by its look: give the client a port for WebSocket')
// The first letters of GET, POST and PUT, HEAD, DELETE, OPTIONS, CONNECT, TRACE.
const methods: ReadonlySet<number> = new Set(Buffer.from('GPHDOCT'))

/** What is wrong with the first byte of a connection to a server; null: it may begin a CONNECT. What else comes to such ports is named. */
export function firstFault(first: number): HeaderFault | null {
  if (first === 0x16) return tls
  if (first >>> 4 === Connect) return clientFaults[first]!
  return methods.has(first) ? http : other
}

/** PUBREL, SUBSCRIBE or UNSUBSCRIBE with the DUP flag, which only MQTT 3.1 has there. */
export function isRepeat(header: number): boolean {
  return header === 0x6a || header === 0x8a || header === 0xaa
}

function judge(header: number, foreign: readonly number[], reader: string): HeaderFault | null {
  const type = header >>> 4
  const flags = header & 0x0f
  if (type === 0) return { reasonCode: ReasonCode.MalformedPacket, message: 'packet type 0' }
  if (type === PacketType.Publish) {
    if ((flags & 6) === 6) return { reasonCode: ReasonCode.MalformedPacket, message: 'QoS 3' } // [MQTT-3.3.1-4]
    if ((flags & 8) !== 0 && (flags & 6) === 0) return { reasonCode: ReasonCode.MalformedPacket, message: 'DUP at QoS 0' } // [MQTT-3.3.1-2]
    return null
  }
  if (flags !== (flagged.has(type) ? 2 : 0))
    return { reasonCode: ReasonCode.MalformedPacket, message: 'reserved bits in the fixed header', ofRequest: requests.has(type) }
  if (foreign.includes(type))
    return { reasonCode: ReasonCode.ProtocolError, message: `a packet that only a ${reader} may send`, ofRequest: false }
  return null
}
