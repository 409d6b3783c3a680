import '../../core/protocol/buffer-methods.ts'
import type { QoS } from '../../core/protocol/constants.ts'
import type { AppendTarget } from '../../core/sessions/session-store.ts'

/** How a queue entry refers to a body that it does not hold itself. */
export interface BodyReference {
  readonly id: string
  /** Which of the body's referrers it is. */
  readonly ordinal: number
}

/** A queue entry as it lies in Redis. */
export interface StoredEntry {
  readonly position: number
  /** Bytes that it counts in its queue. */
  readonly size: number
  readonly packetId: number
  readonly qos: QoS
  readonly retain: boolean
  readonly identifiers: readonly number[] | null
  readonly group: string | null
  /** The body itself, or where it is. */
  readonly body: Buffer | BodyReference
}

/** Bytes of a reference's id. */
export const referenceBytes = 16

const retainFlag = 4
const identifiersFlag = 8
const groupFlag = 16
const inlineFlag = 32
const positionBytes = 8
// Size, packet identifier, flags. The scripts read these, and the reference behind them, so both know the layout.
const headerBytes = 4 + 2 + 1

/** An entry but for its position, which Redis gives it. */
export function encodeEntry(
  { packetId, qos, retain, identifiers, group }: AppendTarget,
  size: number,
  body: Buffer | BodyReference,
): Buffer {
  const inline = Buffer.isBuffer(body)
  const groupBytes = group === null ? 0 : Buffer.byteLength(group)
  const bytes = Buffer.allocUnsafe(
    headerBytes +
      (inline ? body.length : referenceBytes + 4) +
      (identifiers === null ? 0 : 2 + identifiers.length * 4) +
      (group === null ? 0 : 2 + groupBytes),
  )
  let at = bytes.writeUInt32BE(size, 0)
  at = bytes.writeUInt16BE(packetId, at)
  bytes[at++] =
    qos |
    (retain ? retainFlag : 0) |
    (identifiers === null ? 0 : identifiersFlag) |
    (group === null ? 0 : groupFlag) |
    (inline ? inlineFlag : 0)
  if (!inline) {
    at += bytes.latin1Write(body.id, at)
    at = bytes.writeUInt32BE(body.ordinal, at)
  }
  if (identifiers !== null) {
    at = bytes.writeUInt16BE(identifiers.length, at)
    for (const identifier of identifiers) at = bytes.writeUInt32BE(identifier, at)
  }
  if (group !== null) {
    at = bytes.writeUInt16BE(groupBytes, at)
    at += bytes.utf8Write(group, at)
  }
  if (inline) bytes.set(body, at)
  return bytes
}

/** Reads a whole entry; the body of one that holds it is a view of `bytes`. */
export function decodeEntry(bytes: Buffer): StoredEntry {
  const position = bytes.readDoubleBE(0)
  const size = bytes.readUInt32BE(positionBytes)
  const packetId = bytes.readUInt16BE(positionBytes + 4)
  const flags = bytes[positionBytes + 6]!
  let at = positionBytes + headerBytes
  let reference: BodyReference | null = null
  if ((flags & inlineFlag) === 0) {
    reference = { id: bytes.latin1Slice(at, at + referenceBytes), ordinal: bytes.readUInt32BE(at + referenceBytes) }
    at += referenceBytes + 4
  }
  let identifiers: number[] | null = null
  if ((flags & identifiersFlag) !== 0) {
    const count = bytes.readUInt16BE(at)
    at += 2
    identifiers = Array.from({ length: count }, (_, i) => bytes.readUInt32BE(at + i * 4))
    at += count * 4
  }
  let group: string | null = null
  if ((flags & groupFlag) !== 0) {
    const length = bytes.readUInt16BE(at)
    group = bytes.utf8Slice(at + 2, at + 2 + length)
    at += 2 + length
  }
  const body = reference ?? bytes.subarray(at)
  return { position, size, packetId, qos: (flags & 3) as QoS, retain: (flags & retainFlag) !== 0, identifiers, group, body }
}
