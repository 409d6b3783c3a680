import { isUtf8 } from 'node:buffer'
import type { ErrorCode } from '../../core/error-codes.ts'
import '../../core/protocol/buffer-methods.ts'
import { Message } from '../../core/messages/message.ts'
import type { QoS } from '../../core/protocol/constants.ts'
import { decodeProperties, encodeProperties } from '../../core/protocol/property-bytes.ts'
import type { StoredWill } from '../../core/sessions/session-store.ts'

/**
 * The first byte of everything that is written here. A version that raises it reads the older formats too, and refuses newer ones: see `open`. Format 2 has the
 * user name of the publisher.
 */
export const messageFormat = 2
// What the highest bits of the flags say of the user name: it is unknown, there is none, or it stands behind the client id. Format 1 has 0 there.
const User = { unknown: 0, none: 1, named: 2 } as const
const userShift = 5
const origins: readonly Message['origin'][] = ['client', 'will', 'server', 'peer']
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
  const fields = properties === undefined ? null : encodeProperties(properties)
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
  else at += fields.copy(bytes, at)
  bytes.set(payload, at)
  return bytes
}

/**
 * Reads what `encodeMessage` wrote. The payload stays where it is: nobody may change `bytes` afterwards. `as`: an origin of the reader's own.
 * `clockShift`: as there.
 */
export function decodeMessage(bytes: Buffer, as?: Message['origin'], clockShift = 0): Message {
  const reader = open(bytes, 'a stored message')
  const flags = reader.number(1)
  const origin = as ?? origins[(flags >>> 3) & 3]!
  const user = flags >>> userShift
  if ((flags & 3) === 3 || user > (bytes[0] === 1 ? User.unknown : User.named)) throw new StoredFormatError('not a stored message')
  const receivedAt = reader.double() - clockShift
  const clientId = reader.text(2)
  // Whoever admits a client may give it a name of any length.
  const username = user === User.unknown ? undefined : user === User.none ? null : reader.text(4)
  const topic = reader.text(2)
  const { properties, end } = decodeProperties(bytes, reader.at)
  const payload = bytes.subarray(end)
  return new Message({
    topic,
    payload,
    qos: (flags & 3) as QoS,
    retain: (flags & 4) !== 0,
    properties,
    origin,
    clientId,
    username,
    receivedAt,
  })
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
  const said = JSON.parse(reader.text(4)) as Omit<StoredWill, 'message'>
  return { ...said, message: decodeMessage(bytes.subarray(reader.at)) }
}

// No older format than 1 was ever written. A will is the same in all of them, but for its message.
function open(bytes: Buffer, what: string): RecordReader {
  const found = bytes[0] ?? 0
  if (found === 0) throw new StoredFormatError(`${what} says no format: it is something else, or damaged`)
  if (found > messageFormat) throw StoredFormatError.newer(what, found, messageFormat)
  return new RecordReader(bytes, what)
}

/** Reads a record field by field, never beyond its end. */
class RecordReader {
  /** Where the next field begins: at first behind the format. */
  at = 1
  readonly #bytes: Buffer
  readonly #what: string

  constructor(bytes: Buffer, what: string) {
    this.#bytes = bytes
    this.#what = what
  }

  number(size: 1 | 2 | 4): number {
    const at = this.#pass(size)
    return this.#bytes.readUIntBE(at, size)
  }

  double(): number {
    return this.#bytes.readDoubleBE(this.#pass(8))
  }

  /** A text behind its length, which takes so many bytes. */
  text(lengthBytes: 2 | 4): string {
    const start = this.#pass(this.number(lengthBytes))
    const text = this.#bytes.utf8Slice(start, this.at)
    if (text.includes('\ufffd') && !isUtf8(this.#bytes.subarray(start, this.at))) throw new StoredFormatError(`${this.#what} is damaged`)
    return text
  }

  #pass(size: number): number {
    const { at } = this
    if (at + size > this.#bytes.length) throw new StoredFormatError(`${this.#what} ends in the middle of a field`)
    this.at = at + size
    return at
  }
}

declare module '../../core/error-codes.js' {
  interface ErrorCodes {
    /** A newer version wrote what is to be read, or it is damaged: `StoredFormatError`. */
    ERR_STORED_FORMAT: true
  }
}
