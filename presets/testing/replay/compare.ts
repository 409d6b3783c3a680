import type { Packet } from '../../../core/protocol/packets.ts'
import type { TracePiece } from '../../../plugins/admin/answers.ts'
import { packetLine, payloadLine } from '../../../plugins/kit/packet-line.ts'
import { reasonName } from '../../../plugins/kit/reason-name.ts'

/** Where what a broker answers is not what was recorded. */
export interface Difference {
  /** The line of the recording; null: nothing was recorded there. */
  readonly line: number | null
  /** The client id. */
  readonly id: string
  /** The packet: `SUBACK`; `connection` where it is about that. */
  readonly packet: string
  /** What of it differs: `reasonCodes`; `all` where one of the two has no such packet. */
  readonly what: string
  /** What was recorded. */
  readonly recorded: string
  /** What has come instead. */
  readonly answered: string
}

// Of one connection only, or made up anew each time; texts for people may be put otherwise.
const passedOver = new Set(['at', 'id', 'way', 'node', 'clientId', 'packetId', 'dup', 'properties', 'payload', 'reasonCode'])
const passedOverProperties = new Set(['assignedClientId', 'reasonString', 'topicAlias'])

/** What differs between a packet that was recorded and one that has come. */
export function differences(number: number, recorded: TracePiece, answered: Packet): Difference[] {
  const { id, packet = '' } = recorded
  const line = packetLine({ clientId: id }, answered) as Readonly<Record<string, unknown>>
  const found: Difference[] = []
  const compare = (what: string, was: unknown, is: unknown): void => {
    if (JSON.stringify(was) === JSON.stringify(is)) return
    found.push({ line: number, id, packet, what, recorded: shown(what, was), answered: shown(what, is) })
  }
  compare('reasonCode', recorded.reasonCode, line.reasonCode)
  // The rest of a refusal has little to do with the rest of a yes.
  if (found.length > 0) return found
  for (const name of namesOf(recorded, line, passedOver)) compare(name, recorded[name], line[name])
  const [was, is] = [recorded, line].map(({ properties }) => (properties ?? {}) as Readonly<Record<string, unknown>>) as [
    Readonly<Record<string, unknown>>,
    Readonly<Record<string, unknown>>,
  ]
  for (const name of namesOf(was, is, passedOverProperties)) {
    // It is what is left of the time.
    if (name === 'messageExpiry') compare(name, was[name] !== undefined, is[name] !== undefined)
    else compare(name, was[name], is[name])
  }
  if (recorded.payload !== undefined && 'payload' in answered) compare('payload', recorded.payload, payloadLine(answered.payload))
  return found
}

function namesOf(a: object, b: object, without: ReadonlySet<string>): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].filter(name => !without.has(name))
}

/** A packet in a few words. */
export function inShort(packet: Packet | TracePiece): string {
  const line = 'way' in packet ? packet : (packetLine({ clientId: '' }, packet as Packet) as Readonly<Record<string, unknown>>)
  const { packet: name, topic, reasonCode, reasonCodes } = line
  const said =
    topic ??
    (reasonCode === undefined ? undefined : shown('reasonCode', reasonCode)) ??
    (reasonCodes === undefined ? undefined : shown('reasonCodes', reasonCodes))
  return said === undefined ? String(name) : `${name} ${said}`
}

function shown(what: string, value: unknown): string {
  if (value === undefined) return '-'
  const codes = what === 'reasonCodes' || what === 'reasonCode' ? [value].flat() : null
  if (codes !== null) return codes.map(code => (Number(code) < 0x80 ? String(code) : `${code} ${reasonName(Number(code))}`)).join(', ')
  return typeof value === 'string' ? value : JSON.stringify(value)
}
