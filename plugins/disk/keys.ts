import { createHash } from 'node:crypto'

/**
 * The kinds of rows. One ordered map holds them all, told apart by the first byte of the key, so that a commit touches as few pages
 * as it can. Numbers are six bytes, big endian, so that they sort.
 */
export const Kind = {
  /** Received QoS 2 packet identifiers: session, identifier. */
  Received: 0x49,
  /** Queue entries: session, position. Behind one that was sent later than appended: its packet identifier and release. */
  Queue: 0x51,
  /** Bodies that several queues refer to: position. */
  Body: 0x4d,
  /** How many of a body's references are left, where some have gone: position. */
  References: 0x43,
  /** Sessions: number. */
  Session: 0x53,
  /** Subscriptions: session, filter. */
  Subscription: 0x55,
  /** Wills: session. */
  Will: 0x57,
  /** Wills of sessions that end with their connection: run of the broker, node and client id. */
  CleanWill: 0x4b,
  /** Sessions that have ended, of which something is left: number. */
  Ended: 0x45,
  /** Signs of life of each run of a broker: its number. */
  Life: 0x4c,
  /** The state: key. */
  State: 0x54,
  /** What stands under a packet identifier until a QoS 2 message is in the parts of all its receivers: session, identifier. */
  Intention: 0x4e,
  /** Messages that a session has taken while they are on their way to the parts of others: session, token. */
  Taken: 0x4f,
  /** Retained messages: topic. */
  Retained: 0x52,
  /** What is there once: the format, the next free number, how many messages are retained and their bytes, what all queues hold, the time of the folder. */
  Single: 0x00,
} as const
export type Kind = (typeof Kind)[keyof typeof Kind]

// A filter or topic up to here is its own key; LMDB takes keys of up to 1978 bytes.
const textMax = 1500

/** The only row of its name. */
export function singleKey(name: number): Buffer {
  return Buffer.from([Kind.Single, name])
}

/** A row of a session, or whatever has a number. */
export function numberKey(kind: Kind, number: number): Buffer {
  const key = Buffer.allocUnsafe(7)
  key[0] = kind
  writeNumber(key, number, 1)
  return key
}

/** How long keys of entries are, and those of what became of them. */
export const entryKeyBytes = 13
export const sentKeyBytes = entryKeyBytes + 1

/** An entry of a session's queue. */
export function entryKey(session: number, position: number): Buffer {
  const key = Buffer.allocUnsafe(entryKeyBytes)
  key[0] = Kind.Queue
  writeNumber(key, session, 1)
  writeNumber(key, position, 7)
  return key
}

/** Directly behind an entry: what is only known once it is sent. */
export function sentKey(session: number, position: number): Buffer {
  const key = Buffer.allocUnsafe(sentKeyBytes)
  key[0] = Kind.Queue
  writeNumber(key, session, 1)
  writeNumber(key, position, 7)
  key[13] = 1
  return key
}

export function receivedKey(session: number, packetId: number): Buffer {
  const key = Buffer.allocUnsafe(9)
  key[0] = Kind.Received
  writeNumber(key, session, 1)
  key.writeUInt16BE(packetId, 7)
  return key
}

export function intentionKey(session: number, packetId: number): Buffer {
  const key = receivedKey(session, packetId)
  key[0] = Kind.Intention
  return key
}

export function takenKey(session: number, token: string): Buffer {
  return Buffer.concat([numberKey(Kind.Taken, session), Buffer.from(token, 'latin1')])
}

export function subscriptionKey(session: number, filter: string): Buffer {
  return Buffer.concat([numberKey(Kind.Subscription, session), textKey(Buffer.from(filter))])
}

/**
 * A topic's key: a zero byte between levels, which no topic holds, so that all that is below a topic follows it at once and before any
 * of its siblings. Of a very long one the end is told apart by its hash.
 */
export function retainedKey(topic: string): Buffer {
  const levels = Buffer.from(topic.replaceAll('/', '\0'))
  return Buffer.concat([Buffer.from([Kind.Retained]), textKey(levels)])
}

/** A text as the end of a key: of a very long one the end is told apart by its hash. */
export function textKey(text: Buffer): Buffer {
  if (text.length <= textMax) return text
  return Buffer.concat([text.subarray(0, textMax), createHash('sha256').update(text).digest()])
}

/** Where the keys of the topics that begin with these levels begin: a key cut to the length up to which keys are as long as their topics. */
export function retainedStart(levels: readonly string[]): Buffer {
  return Buffer.from(`${String.fromCharCode(Kind.Retained)}${levels.join('\0')}`).subarray(0, 1 + textMax)
}

/** Whether such a beginning may have been cut: then the bytes behind it are not those of the topics. */
export function isCut(start: Buffer): boolean {
  return start.length === 1 + textMax
}

/** Whether a topic's key holds all of it. */
export function isWholeTopic(key: Buffer): boolean {
  return key.length <= 1 + textMax
}

export function readNumber(bytes: Buffer, at: number): number {
  return bytes.readUIntBE(at, 6)
}

export function writeNumber(bytes: Buffer, number: number, at: number): void {
  // Written out: `writeUIntBE` checks its arguments each time, and there are two keys a message.
  const high = Math.floor(number / 0x1_0000_0000)
  bytes[at] = high >>> 8
  bytes[at + 1] = high
  bytes[at + 2] = number >>> 24
  bytes[at + 3] = number >>> 16
  bytes[at + 4] = number >>> 8
  bytes[at + 5] = number
}
