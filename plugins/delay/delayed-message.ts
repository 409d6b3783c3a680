import type { Message } from '../../core/messages/message.ts'
import type { Publisher } from '../../core/publisher.ts'
import { queuedBytes } from '../../core/sessions/queue-policy.ts'
import { decodeMessage, encodeMessage, StoredFormatError } from '../kit/stored-message.ts'

/** A message that waits for its time, and who published it. */
export interface DelayedMessage {
  readonly message: Message
  readonly publisher: Publisher
  /** When it is due, milliseconds since the Unix epoch. */
  readonly dueAt: number
}

const format = 1

/** What it takes in memory. */
export function delayedBytes({ message }: DelayedMessage): number {
  return queuedBytes(message)
}

/** As a queue on disk keeps it, whose time is `clockShift` ahead of the broker's clock. */
export function encodeDelayed({ message, publisher: { username, rights, mountPoint }, dueAt }: DelayedMessage, clockShift: number): Buffer {
  const owner = Buffer.from(JSON.stringify({ username, rights, mountPoint }))
  const before = 13 + owner.length
  const row = encodeMessage(message, before, true, clockShift)
  row[0] = format
  row.writeDoubleBE(dueAt + clockShift, 1)
  row.writeUInt32BE(owner.length, 9)
  row.set(owner, 13)
  return row
}

/** Reads what `encodeDelayed` wrote; throws `StoredFormatError` where a newer version did. */
export function decodeDelayed(row: Buffer, clockShift: number): DelayedMessage {
  if (row[0] !== format) throw new StoredFormatError('a newer version has put this message into the queue of delay')
  const end = 13 + row.readUInt32BE(9)
  const owner = JSON.parse(row.toString('utf8', 13, end)) as Omit<Publisher, 'clientId'>
  // The row may lie in a page of others, which it must not keep alive.
  const message = decodeMessage(Buffer.from(row.subarray(end)), undefined, clockShift)
  return { message, publisher: { clientId: message.clientId, ...owner }, dueAt: row.readDoubleBE(1) - clockShift }
}
