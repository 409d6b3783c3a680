import type { ErrorCode } from '../error-codes.ts'
import '../protocol/buffer-methods.ts'
import type { QoS } from '../protocol/constants.ts'
import type { Properties } from '../protocol/packets.ts'
import { Carrier, readProperties, writeProperties } from '../protocol/properties.ts'
import { Reader } from '../protocol/reader.ts'
import { Writer } from '../protocol/writer.ts'
import type { StoredWill } from '../sessions/session-store.ts'
import { Message, type Origin } from './message.ts'

/**
 * The first byte of everything that is written here. A version that raises it reads the older formats too, and refuses newer ones: see `open`. Format 2 has the
 * user name of the publisher.
 */
export const messageFormat = 2
// What the highest bits of the flags say of the user name: it is unknown, there is none, or it stands behind the client id. Format 1 has 0 there.
const User = { unknown: 0, none: 1, named: 2 } as const
const userShift = 5
const origins: readonly Origin[] = ['client', 'will', 'server', 'peer']
// Format, flags, when it was received, and the lengths of client id and topic name.
const fixedBytes = 1 + 1 + 8 + 2 + 2

/** Bytes that a store or another node cannot read: written by a newer version, or not a message at all. */
export class StoredFormatError extends Error {
  override readonly name = 'StoredFormatError'
  /** For tests and users. */
  readonly code = 'ERR_STORED_FORMAT' satisfies ErrorCode

  /** The error for a record that a newer version has written: `what` names the record, `known` is the newest format that this version reads. */
  static newer(what: string, found: number, known: number): StoredFormatError {
    return new StoredFormatError(
      `${what} was written by a newer version (format ${found}, this one knows ${known}); start the newer version again, or put back what was there before it`,
    )
  }
}

/**
 * A message as stores keep it and nodes hand it to one another: all of it, in one buffer of its own. `before`: bytes left free in front,
 * for what a store puts there, so that a body is copied once. `brief`: it is copied again soon, so it may share a buffer with others. `clockShift`:
 * milliseconds by which the time of the store, or of all nodes, is ahead of the broker's clock. `format`: 1 where somebody is to read it who knows no other; the user name is not
 * in it then.
 */
export function encodeMessage(message: Message, before = 0, brief = false, clockShift = 0, format = messageFormat): Buffer {
  const { topic, payload, qos, retain, properties, origin, clientId, receivedAt } = message
  const username = format === 1 ? undefined : message.username
  const user = username === undefined ? User.unknown : username === null ? User.none : User.named
  const userBytes = typeof username === 'string' ? 4 + Buffer.byteLength(username) : 0
  const clientIdBytes = Buffer.byteLength(clientId)
  const topicBytes = Buffer.byteLength(topic)
  let fields: Writer | null = null
  if (properties !== undefined) {
    fields = new Writer()
    writeProperties(fields, properties)
  }
  const size = fixedBytes + clientIdBytes + userBytes + topicBytes + (fields?.length ?? 1) + payload.length
  const bytes = brief ? Buffer.allocUnsafe(before + size) : Buffer.allocUnsafeSlow(before + size)
  bytes[before] = format
  bytes[before + 1] = qos | (retain ? 4 : 0) | (origins.indexOf(origin) << 3) | (user << userShift)
  let at = bytes.writeDoubleBE(receivedAt + clockShift, before + 2)
  at = bytes.writeUInt16BE(clientIdBytes, at)
  at += bytes.utf8Write(clientId, at)
  if (typeof username === 'string') {
    at = bytes.writeUInt32BE(userBytes - 4, at)
    at += bytes.utf8Write(username, at)
  }
  at = bytes.writeUInt16BE(topicBytes, at)
  at += bytes.utf8Write(topic, at)
  if (fields === null) bytes[at++] = 0
  else at += fields.copyTo(bytes, at)
  bytes.set(payload, at)
  return bytes
}

/**
 * Reads what `encodeMessage` wrote. The payload stays where it is: nobody may change `bytes` afterwards. `as`: an origin of the reader's own.
 * `clockShift`: as there.
 */
export function decodeMessage(bytes: Buffer, as?: Origin, clockShift = 0): Message {
  const reader = open(bytes, 'a stored message')
  const flags = reader.byte()
  const origin = as ?? origins[(flags >>> 3) & 3]!
  const user = flags >>> userShift
  if ((flags & 3) === 3 || user > (bytes[0] === 1 ? User.unknown : User.named)) throw new StoredFormatError('not a stored message')
  const receivedAt = bytes.readDoubleBE(reader.at) - clockShift
  reader.at += 8
  const clientId = reader.text()
  const username = user === User.unknown ? undefined : user === User.none ? null : longText(reader, bytes)
  const topic = reader.text()
  const properties: Properties | undefined = readProperties(reader, Carrier.Publish)
  return new Message({
    topic,
    payload: bytes.subarray(reader.at),
    qos: (flags & 3) as QoS,
    retain: (flags & 4) !== 0,
    properties,
    origin,
    clientId,
    username,
    receivedAt,
  })
}

// Whoever admits a client may give it a name of any length.
function longText(reader: Reader, bytes: Buffer): string {
  const start = reader.at + 4
  const end = start + reader.fourBytes()
  if (end > bytes.length) throw new StoredFormatError('a stored message ends in the middle of its user name')
  reader.at = end
  return bytes.toString('utf8', start, end)
}

/** A will as stores keep it: whom it speaks for and when, then its message. `format`: as of `encodeMessage`. */
export function encodeWill({ message, delayMs, username, rights, mountPoint }: StoredWill, format = messageFormat): Buffer {
  const header = Buffer.from(JSON.stringify({ delayMs, username, rights: rights ?? null, mountPoint }))
  const body = encodeMessage(message, 0, false, 0, format)
  const bytes = Buffer.allocUnsafeSlow(5 + header.length + body.length)
  bytes[0] = format
  bytes.writeUInt32BE(header.length, 1)
  bytes.set(header, 5)
  bytes.set(body, 5 + header.length)
  return bytes
}

/** Reads what `encodeWill` wrote; nobody may change `bytes` afterwards. */
export function decodeWill(bytes: Buffer): StoredWill {
  const reader = open(bytes, 'a stored will')
  const headerEnd = 5 + reader.fourBytes()
  const said = JSON.parse(bytes.toString('utf8', 5, headerEnd)) as Omit<StoredWill, 'message'>
  return { ...said, message: decodeMessage(bytes.subarray(headerEnd)) }
}

// No older format than 1 was ever written. A will is the same in all of them, but for its message.
function open(bytes: Buffer, what: string): Reader {
  const found = bytes[0] ?? 0
  if (found === 0) throw new StoredFormatError(`${what} says no format: it is something else, or damaged`)
  if (found > messageFormat) throw StoredFormatError.newer(what, found, messageFormat)
  const reader = new Reader()
  reader.reset(bytes, 1, bytes.length)
  return reader
}
