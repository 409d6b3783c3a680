import type { QoS } from '../../core/protocol/constants.ts'
import type { Subscription } from '../../core/routing/subscription.ts'
import { formatByte, formatOf, markedFormatOf } from './format.ts'
import { readNumber, writeNumber } from './keys.ts'

/** A session as it is stored; its number is the row's key. */
export interface SessionRecord {
  readonly clientId: string
  /** The user name of its owner, null for a client without one; `undefined`: unknown, it was stored in format 1. */
  readonly user: string | null | undefined
  /** The run of the broker in which it has a connection; 0 while it has none. */
  readonly run: number
  /** When its connection ended, milliseconds since the Unix epoch; not looked at while it has one. */
  readonly closedAt: number
  readonly expiryMs: number
  /** -1: no will, or it has been sent. */
  readonly willDelayMs: number
}

// What stands before a user's name: no user is known, the client has no user name, or one more than this many bytes of a name.
const unknownUser = 0
const nullUser = 1

export function encodeSession({ clientId, user, run, closedAt, expiryMs, willDelayMs }: SessionRecord): Buffer {
  const name = user ?? ''
  const nameBytes = Buffer.byteLength(name)
  const bytes = Buffer.allocUnsafe(35 + nameBytes + Buffer.byteLength(clientId))
  bytes[0] = formatByte
  writeNumber(bytes, run, 1)
  bytes.writeDoubleBE(closedAt, 7)
  bytes.writeDoubleBE(expiryMs, 15)
  bytes.writeDoubleBE(willDelayMs, 23)
  bytes.writeUInt32BE(user === undefined ? unknownUser : user === null ? nullUser : nullUser + 1 + nameBytes, 31)
  bytes.write(name, 35)
  bytes.write(clientId, 35 + nameBytes)
  return bytes
}

export function decodeSession(bytes: Buffer): SessionRecord {
  const format = markedFormatOf(bytes, 'a stored session')
  const said = format === 1 ? unknownUser : bytes.readUInt32BE(31)
  const userAt = format === 1 ? 31 : 35
  const clientIdAt = userAt + Math.max(0, said - nullUser - 1)
  return {
    clientId: bytes.toString('utf8', clientIdAt),
    user: said === unknownUser ? undefined : said === nullUser ? null : bytes.toString('utf8', userAt, clientIdAt),
    run: readNumber(bytes, 1),
    closedAt: bytes.readDoubleBE(7),
    expiryMs: bytes.readDoubleBE(15),
    willDelayMs: bytes.readDoubleBE(23),
  }
}

// Among the flags of a subscription: its client knows it by another filter. The length of that one, and it itself, stand before the filter.
const renamed = 64

export function encodeSubscription(subscription: Subscription): Buffer {
  const { filter, requested = '', qos, noLocal, retainAsPublished, retainHandling, identifier } = subscription
  const nameBytes = requested === '' ? 0 : 4 + Buffer.byteLength(requested)
  const bytes = Buffer.allocUnsafe(6 + nameBytes + Buffer.byteLength(filter))
  bytes[0] = formatByte
  bytes[1] = qos | (noLocal ? 4 : 0) | (retainAsPublished ? 8 : 0) | (retainHandling << 4) | (requested === '' ? 0 : renamed)
  bytes.writeUInt32BE(identifier, 2)
  if (nameBytes > 0) {
    bytes.writeUInt32BE(nameBytes - 4, 6)
    bytes.write(requested, 10)
  }
  bytes.write(filter, 6 + nameBytes)
  return bytes
}

export function decodeSubscription(bytes: Buffer): Subscription {
  markedFormatOf(bytes, 'a stored subscription')
  const flags = bytes[1]!
  const nameEnd = (flags & renamed) === 0 ? 6 : 10 + bytes.readUInt32BE(6)
  const subscription = {
    filter: bytes.toString('utf8', nameEnd),
    qos: (flags & 3) as QoS,
    noLocal: (flags & 4) !== 0,
    retainAsPublished: (flags & 8) !== 0,
    retainHandling: ((flags >>> 4) & 3) as 0 | 1 | 2,
    identifier: bytes.readUInt32BE(2),
  }
  return nameEnd === 6 ? subscription : { ...subscription, requested: bytes.toString('utf8', 10, nameEnd) }
}

/** How a message is to be delivered to one session. */
export interface EntryTarget {
  readonly qos: QoS
  readonly retain: boolean
  readonly identifiers: readonly number[] | null
  readonly group: string | null
}

/** The front of a queue's entry, behind which the message may stand. */
export interface EntryHead extends EntryTarget {
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
export function entryHeadBytes({ identifiers, group }: EntryTarget): number {
  return fixedBytes + (identifiers === null ? 0 : 4 + identifiers.length * 4) + (group === null ? 0 : 4 + Buffer.byteLength(group))
}

/** Writes the front of an entry to the beginning of `into`, which has room for it. */
export function writeEntryHead(
  into: Buffer,
  { qos, retain, identifiers, group }: EntryTarget,
  packetId: number,
  bytes: number,
  inline: boolean,
): void {
  into[0] = formatByte
  into[1] =
    qos |
    (retain ? Flag.retain : 0) |
    (inline ? Flag.inline : 0) |
    (identifiers === null ? 0 : Flag.identifiers) |
    (group === null ? 0 : Flag.group)
  into.writeUInt16BE(packetId, 2)
  let at = into.writeUInt32BE(bytes, 4)
  if (identifiers !== null) {
    at = into.writeUInt32BE(identifiers.length, at)
    for (const identifier of identifiers) at = into.writeUInt32BE(identifier, at)
  }
  if (group !== null) {
    at = into.writeUInt32BE(Buffer.byteLength(group), at)
    into.write(group, at)
  }
}

export function readEntryHead(value: Buffer): EntryHead {
  // Counts and lengths had two bytes in format 1, and have four now.
  const lengthBytes = markedFormatOf(value, 'a queue entry') === 1 ? 2 : 4
  const flags = value[1]!
  let at = fixedBytes
  let identifiers: number[] | null = null
  if ((flags & Flag.identifiers) !== 0) {
    const count = value.readUIntBE(at, lengthBytes)
    at += lengthBytes
    identifiers = []
    for (let i = 0; i < count; i++, at += 4) identifiers.push(value.readUInt32BE(at))
  }
  let group: string | null = null
  if ((flags & Flag.group) !== 0) {
    const start = at + lengthBytes
    at = start + value.readUIntBE(at, lengthBytes)
    group = value.toString('utf8', start, at)
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
export interface SentRecord {
  readonly packetId: number
  readonly released: boolean
}

export function encodeSent(packetId: number, released: boolean): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes[0] = formatByte
  bytes.writeUInt16BE(packetId, 1)
  bytes[3] = released ? 1 : 0
  return bytes
}

export function decodeSent(bytes: Buffer): SentRecord {
  // In format 1 it began with the packet identifier, whose first byte may be any.
  if (bytes.length === 3) return { packetId: bytes.readUInt16BE(0), released: bytes[2] === 1 }
  formatOf(bytes, 'what became of a queue entry')
  return { packetId: bytes.readUInt16BE(1), released: bytes[3] === 1 }
}

/** A number alone: a count, a time. */
export function encodeValue(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(9)
  bytes[0] = formatByte
  bytes.writeDoubleBE(value, 1)
  return bytes
}

/** Reads what `encodeValue` wrote; 0 where there is nothing. No number of ours is negative, so in format 1 its first byte was below 0x80. */
export function decodeValue(bytes: Buffer | undefined, what: string): number {
  return bytes === undefined ? 0 : bytes.readDoubleBE(formatOf(bytes, what) === 1 ? 0 : 1)
}

/** How many refer to something, and whatever else counts to 2³¹. */
export function encodeCount(count: number): Buffer {
  const bytes = Buffer.allocUnsafe(countBytes)
  writeCount(bytes, count)
  return bytes
}

/** Bytes of a count. */
export const countBytes = 5

/** Writes a count to the beginning of `into`. */
export function writeCount(into: Buffer, count: number): void {
  into[0] = formatByte
  into.writeUInt32BE(count, 1)
}

/** Reads a count, which something else may stand behind. */
export function readCount(bytes: Buffer, what: string): number {
  return bytes.readUInt32BE(countBytesOf(bytes, what) - 4)
}

/** Bytes of the count in front of something: four in format 1. */
export function countBytesOf(bytes: Buffer, what: string): number {
  return formatOf(bytes, what) === 1 ? 4 : countBytes
}
