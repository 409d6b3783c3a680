import '../../core/protocol/buffer-methods.ts'
import type { QoS } from '../../core/protocol/constants.ts'
import type { AppendTarget } from '../../core/sessions/session-store.ts'
import { StoredFormatError } from '../kit/stored-message.ts'
import { entryHead, entryReference, entryTail, entryFlag as flag, referenceBytes, storedFormat } from './script/layout.ts'

// So many identifiers, or more: their number stands behind, in four bytes.
const countMax = 0xffff

/** How a queue entry refers to a body that it does not hold itself. */
export interface BodyReference {
  readonly id: string
  /** Which of the body's referrers it is. */
  readonly ordinal: number
}

/** A queue entry as it lies in Redis. */
export interface StoredQueueEntry {
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

/** An entry but for its position, which Redis gives it. */
export function encodeQueueEntry(
  { packetId, qos, retain, identifiers, group }: AppendTarget,
  size: number,
  body: Buffer | BodyReference,
): Buffer {
  const inline = Buffer.isBuffer(body)
  const groupBytes = group === null ? 0 : Buffer.byteLength(group)
  const bytes = Buffer.allocUnsafe(
    entryTail.bytes +
      (inline ? body.length : entryReference.bytes) +
      (identifiers === null ? 0 : 2 + (identifiers.length >= countMax ? 4 : 0) + identifiers.length * 4) +
      (group === null ? 0 : 2 + groupBytes),
  )
  bytes.writeUInt32BE(size, entryTail.at.size)
  bytes.writeUInt16BE(packetId, entryTail.at.packetId)
  bytes[entryTail.at.flags] =
    qos |
    (retain ? flag.retain : 0) |
    (identifiers === null ? 0 : flag.identifiers) |
    (group === null ? 0 : flag.group) |
    (inline ? flag.inline : 0) |
    ((storedFormat - 1) << flag.formatShift)
  let at = entryTail.bytes
  if (!inline) {
    at += bytes.latin1Write(body.id, at)
    at = bytes.writeUInt32BE(body.ordinal, at)
  }
  if (identifiers !== null) {
    at = bytes.writeUInt16BE(Math.min(identifiers.length, countMax), at)
    if (identifiers.length >= countMax) at = bytes.writeUInt32BE(identifiers.length, at)
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
export function decodeQueueEntry(bytes: Buffer): StoredQueueEntry {
  const position = bytes.readDoubleBE(entryHead.at.position)
  const size = bytes.readUInt32BE(entryHead.at.size)
  const packetId = bytes.readUInt16BE(entryHead.at.packetId)
  const flags = bytes[entryHead.at.flags]!
  const format = (flags >> flag.formatShift) + 1
  if (format > storedFormat) throw StoredFormatError.newer('a queued message in Redis', format, storedFormat)
  let at = entryHead.bytes
  let reference: BodyReference | null = null
  if ((flags & flag.inline) === 0) {
    reference = { id: bytes.latin1Slice(at, at + referenceBytes), ordinal: bytes.readUInt32BE(at + entryReference.ordinalAt) }
    at += entryReference.bytes
  }
  let identifiers: number[] | null = null
  if ((flags & flag.identifiers) !== 0) {
    let count = bytes.readUInt16BE(at)
    at += 2
    if (count === countMax) {
      count = bytes.readUInt32BE(at)
      at += 4
    }
    identifiers = Array.from({ length: count }, (_, i) => bytes.readUInt32BE(at + i * 4))
    at += count * 4
  }
  let group: string | null = null
  if ((flags & flag.group) !== 0) {
    const length = bytes.readUInt16BE(at)
    group = bytes.utf8Slice(at + 2, at + 2 + length)
    at += 2 + length
  }
  const body = reference ?? bytes.subarray(at)
  return { position, size, packetId, qos: (flags & flag.qos) as QoS, retain: (flags & flag.retain) !== 0, identifiers, group, body }
}
