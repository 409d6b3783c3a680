import { StoredFormatError } from '../../core/messages/stored-message.ts'
import type { QoS } from '../../core/protocol/constants.ts'
import type { Subscription } from '../../core/routing/subscription.ts'
import { readNumber, writeNumber } from './keys.ts'

// The first byte of every row: a broker that does not know it must not guess.
const format = 1

/** A session as it is stored; its number is the row's key. */
export interface SessionRecord {
  readonly clientId: string
  /** The run of the broker in which it has a connection; 0 while it has none. */
  readonly life: number
  /** When its connection ended, milliseconds since the Unix epoch; not looked at while it has one. */
  readonly closedAt: number
  readonly expiryMs: number
  /** -1: no will, or it has been sent. */
  readonly willDelayMs: number
}

export function encodeSession({ clientId, life, closedAt, expiryMs, willDelayMs }: SessionRecord): Buffer {
  const bytes = Buffer.allocUnsafe(31 + Buffer.byteLength(clientId))
  bytes[0] = format
  writeNumber(bytes, life, 1)
  bytes.writeDoubleBE(closedAt, 7)
  bytes.writeDoubleBE(expiryMs, 15)
  bytes.writeDoubleBE(willDelayMs, 23)
  bytes.write(clientId, 31)
  return bytes
}

export function decodeSession(bytes: Buffer): SessionRecord {
  known(bytes)
  return {
    clientId: bytes.toString('utf8', 31),
    life: readNumber(bytes, 1),
    closedAt: bytes.readDoubleBE(7),
    expiryMs: bytes.readDoubleBE(15),
    willDelayMs: bytes.readDoubleBE(23),
  }
}

export function encodeSubscription({ filter, qos, noLocal, retainAsPublished, retainHandling, identifier }: Subscription): Buffer {
  const bytes = Buffer.allocUnsafe(6 + Buffer.byteLength(filter))
  bytes[0] = format
  bytes[1] = qos | (noLocal ? 4 : 0) | (retainAsPublished ? 8 : 0) | (retainHandling << 4)
  bytes.writeUInt32BE(identifier, 2)
  bytes.write(filter, 6)
  return bytes
}

export function decodeSubscription(bytes: Buffer): Subscription {
  known(bytes)
  const flags = bytes[1]!
  return {
    filter: bytes.toString('utf8', 6),
    qos: (flags & 3) as QoS,
    noLocal: (flags & 4) !== 0,
    retainAsPublished: (flags & 8) !== 0,
    retainHandling: (flags >>> 4) as 0 | 1 | 2,
    identifier: bytes.readUInt32BE(2),
  }
}

/** How a message is to be delivered to one session. */
export interface Delivery {
  readonly qos: QoS
  readonly retain: boolean
  readonly identifiers: readonly number[] | null
  readonly group: string | null
}

/** The front of a queue's entry, behind which the message may stand. */
export interface EntryHead extends Delivery {
  /** As it was appended: 0 where the identifier came later, and stands in the row behind this one. */
  readonly packetId: number
  /** What the message counts for in the queue's limits. */
  readonly bytes: number
  /** Where the message begins; -1 where it is stored once for several. */
  readonly messageAt: number
}

const fixedBytes = 8
const Flag = { retain: 4, inline: 8, identifiers: 16, group: 32 } as const

/** Bytes of the front of an entry. */
export function entryHeadBytes({ identifiers, group }: Delivery): number {
  return fixedBytes + (identifiers === null ? 0 : 2 + identifiers.length * 4) + (group === null ? 0 : 2 + Buffer.byteLength(group))
}

/** Writes the front of an entry to the beginning of `into`, which has room for it. */
export function writeEntryHead(
  into: Buffer,
  { qos, retain, identifiers, group }: Delivery,
  packetId: number,
  bytes: number,
  inline: boolean,
): void {
  into[0] = format
  into[1] =
    qos |
    (retain ? Flag.retain : 0) |
    (inline ? Flag.inline : 0) |
    (identifiers === null ? 0 : Flag.identifiers) |
    (group === null ? 0 : Flag.group)
  into.writeUInt16BE(packetId, 2)
  let at = into.writeUInt32BE(bytes, 4)
  if (identifiers !== null) {
    at = into.writeUInt16BE(identifiers.length, at)
    for (const identifier of identifiers) at = into.writeUInt32BE(identifier, at)
  }
  if (group !== null) {
    at = into.writeUInt16BE(Buffer.byteLength(group), at)
    into.write(group, at)
  }
}

export function readEntryHead(value: Buffer): EntryHead {
  known(value)
  const flags = value[1]!
  let at = fixedBytes
  let identifiers: number[] | null = null
  if ((flags & Flag.identifiers) !== 0) {
    const count = value.readUInt16BE(at)
    at += 2
    identifiers = []
    for (let i = 0; i < count; i++, at += 4) identifiers.push(value.readUInt32BE(at))
  }
  let group: string | null = null
  if ((flags & Flag.group) !== 0) {
    const length = value.readUInt16BE(at)
    group = value.toString('utf8', at + 2, at + 2 + length)
    at += 2 + length
  }
  return {
    qos: (flags & 3) as QoS,
    retain: (flags & Flag.retain) !== 0,
    identifiers,
    group,
    packetId: value.readUInt16BE(2),
    bytes: value.readUInt32BE(4),
    messageAt: (flags & Flag.inline) !== 0 ? at : -1,
  }
}

/** What became of an entry after it was appended. */
export function encodeSent(packetId: number, released: boolean): Buffer {
  const bytes = Buffer.allocUnsafe(3)
  bytes.writeUInt16BE(packetId, 0)
  bytes[2] = released ? 1 : 0
  return bytes
}

/** A number alone: a count, a time. */
export function encodeValue(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(8)
  bytes.writeDoubleBE(value, 0)
  return bytes
}

export function decodeValue(bytes: Buffer | undefined): number {
  return bytes === undefined ? 0 : bytes.readDoubleBE(0)
}

function known(bytes: Buffer): void {
  if (bytes[0] !== format) throw new StoredFormatError(`a row of format ${bytes[0] ?? 'none'}; this version reads ${format}`)
}
