/**
 * What TypeScript and the Lua scripts must agree on, each number and each short name once: the operations, the layout of a queue entry, the order of a session's
 * keys, the fields of its hashes. Both sides are generated from here. A change of what is stored is a new `storedFormat`.
 */

/**
 * The format of what this version writes to Redis. 1 is that of the first version, 0.1.0, which wrote its number nowhere. 2: sessions say their format and their
 * user, entries say their format, wills of clean sessions and totals are kept. What is older is read and brought to this format; what is newer is refused.
 */
export const storedFormat = 2

/** The first byte of each operation in a batch. */
export const Code = {
  Append: 1,
  Claim: 2,
  Ack: 3,
  Send: 4,
  Remove: 5,
  Release: 6,
  Forget: 7,
  Subscribe: 8,
  Unsubscribe: 9,
  Close: 10,
  End: 11,
  Due: 12,
  Settle: 13,
  Park: 14,
  Unrefer: 15,
  Command: 16,
  Intend: 17,
  Post: 18,
  Migrate: 19,
  KeepWill: 20,
  TakeWill: 21,
  Correct: 22,
  Restore: 23,
  SetState: 24,
} as const

export type Code = (typeof Code)[keyof typeof Code]

/** A session's three keys follow one another among a batch's keys: its hash, and these so far behind it. */
export const keyAt = { queue: 1, identifiers: 2 } as const

/** Fields of a session's hash; docs/redis-keys.md says what each holds. */
export const sessionField = {
  format: 'v',
  epoch: 'e',
  user: 'U',
  node: 'n',
  expiryMs: 'm',
  expiresAt: 'x',
  lastPosition: 'p',
  bytes: 'b',
  count: 'c',
  unsentFrom: 'u',
  will: 'w',
  willDelay: 'wd',
  willAt: 'wa',
  /** Followed by the topic filter. */
  subscription: 's',
} as const

/** What the names of the fields in a session's hash of packet identifiers begin with; a number or a token follows. */
export const identifierField = {
  /** …by position in the queue: the packet identifier under which the message was sent. */
  outbound: 'o',
  /** …by packet identifier: a QoS 2 message was received under it and is not released yet. */
  inbound: 'i',
  /** …by packet identifier: the token of the publication that is under way under it (Redis Cluster). */
  publishing: 't',
  /** …by token: the queue has that publication's message already (Redis Cluster). */
  placed: 'k',
} as const

/** Behind the packet identifier of an entry that PUBREC was received for. */
export const releasedMark = 'r'

/** The field of a body's hash that holds the message; every other field is a referrer's ordinal. */
export const bodyField = 'b'

/** The struct format of a position in a queue. */
export const positionFormat = '>d'

const sizes = { d: 8, I4: 4, I2: 2, B: 1 } as const

/** Where each field of a fixed layout begins, counted from 0, and the format by which Lua reads it. */
export interface Layout<K extends string> {
  readonly at: Readonly<Record<K, number>>
  readonly bytes: number
  /** The struct format, without its byte order. */
  readonly format: string
}

function layoutOf<K extends string>(fields: Readonly<Record<K, keyof typeof sizes>>): Layout<K> {
  const at = {} as Record<K, number>
  let bytes = 0
  let format = ''
  for (const [name, type] of Object.entries(fields) as [K, keyof typeof sizes][]) {
    at[name] = bytes
    bytes += sizes[type]
    format += type
  }
  return { at, bytes, format }
}

/** Fields of the hash of the state: how often it has changed, and each key behind a letter. */
export const stateField = { version: 'v', key: 'k' } as const

/** The beginning of a queue entry; behind it the reference to its body, if that lies elsewhere. */
export const entryHead = layoutOf({ position: 'd', size: 'I4', packetId: 'I2', flags: 'B' })

/** An entry as it is sent to Redis: without its position, which Redis gives it. */
export const entryTail = layoutOf({ size: 'I4', packetId: 'I2', flags: 'B' })

/** Bytes of a body's id. */
export const referenceBytes = 16

/** An entry's reference to its body: the body's id, then which of its referrers this entry is. */
export const entryReference = { ordinalAt: referenceBytes, bytes: referenceBytes + sizes.I4, format: `c${referenceBytes}I4` } as const

/** The bits of an entry's flags. The two highest hold the entry's format, less 1. */
export const entryFlag = { qos: 3, retain: 4, identifiers: 8, group: 16, inline: 32, formatShift: 6 } as const

/** Fields of the hash that counts what the sessions of one slot hold. */
export const totalField = { sessions: 'sessions', messages: 'messages', bytes: 'bytes' } as const

/** The first byte of what nodes tell or post one another; the second is the version of the bus. */
export const frameKind = { message: 1, wake: 2, barrier: 3 } as const

/** Fields of an entry of the cluster's log: the version of the bus, the node, what kind of entry it is, and what it says. */
export const logField = { version: 'v', node: 'n', kind: 'k', said: 'd' } as const

/** Milliseconds for which Redis keeps what nobody may come back for: a writer's last batch, the queue of an ended session, a node's inbox. */
export const leftoverMs = 86_400_000

/** Entries that the cluster's log holds, about: a node that lags further behind reads everything anew. */
export const logEntries = 50_000

/** At most so many arguments go to one command in a script; Lua's `unpack` has a limit. */
export const argumentsPerCall = 1000
