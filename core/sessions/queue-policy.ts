import type { Message } from '../messages/message.ts'
import type { Properties } from '../protocol/packets.ts'
import { unreadOf } from '../protocol/user-properties.ts'
import type { QueueLimits } from './session-store.ts'

/**
 * What has to happen before a session's queue takes one message more: nothing (`fits`), its oldest message that was not sent yet is dropped and
 * the queue is asked again (`dropOldest`), or the new message is dropped (`dropNewest`). A message that could never fit costs no other its place.
 * Where `dropOldest` is the answer and the queue has only messages that were sent, the new one is dropped all the same.
 * The script of the Redis store follows the same rule; the contract suite holds every store to one table.
 *
 * @param messages how many are in the queue, in flight or not
 * @param bytes what they count for, by `queuedBytes`
 * @param size what the new one counts for
 */
export function roomFor(limits: QueueLimits, messages: number, bytes: number, size: number): 'fits' | 'dropOldest' | 'dropNewest' {
  if (messages < limits.messagesMax && bytes + size <= limits.bytesMax) return 'fits'
  return size > limits.bytesMax || limits.messagesMax === 0 ? 'dropNewest' : limits.whenFull
}

/** More than half full: time to slow the publishers. */
export function isHigh({ messagesMax, bytesMax }: QueueLimits, messages: number, bytes: number): boolean {
  return messages * 2 > messagesMax || bytes * 2 > bytesMax
}

/** Less than a quarter full: publishers need not be slowed any more. */
export function isLow({ messagesMax, bytesMax }: QueueLimits, messages: number, bytes: number): boolean {
  return messages * 4 < messagesMax && bytes * 4 < bytesMax
}

// What an entry costs besides its bytes, and what a user property does.
const overhead = 100

/**
 * What one message counts for in a session's queue, in bytes. Whatever a client can make large counts: properties (two mebibytes of them without
 * any payload), and the identifiers of the subscriptions that it came by, of which there may be thousands.
 */
export function queuedBytes(message: Message, identifiers: readonly number[] | null = null): number {
  const { properties } = message
  const bytes = message.payloadLength + message.topic.length + overhead + (properties === undefined ? 0 : propertyBytes(properties))
  return bytes + identifierBytes(identifiers)
}

/** The part of `queuedBytes` that differs from one session to the next. */
export function identifierBytes(identifiers: readonly number[] | null): number {
  return identifiers === null ? 0 : identifiers.length * 8
}

/** Bytes of the properties whose size the client decides; the same whether anybody has asked for the user properties or not. */
export function propertyBytes(properties: Properties): number {
  const { contentType, responseTopic, correlationData } = properties
  let bytes = (contentType?.length ?? 0) + (responseTopic?.length ?? 0) + (correlationData?.length ?? 0)
  const unread = unreadOf(properties)
  if (unread !== null) return bytes + unread.units + unread.count * overhead
  const { userProperties } = properties
  if (userProperties !== undefined) for (const [name, value] of userProperties) bytes += name.length + value.length + overhead
  return bytes
}
