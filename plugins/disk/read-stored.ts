import type { Log } from '../../core/log.ts'
import { Message } from '../../core/messages/message.ts'
import type { StoredWill } from '../../core/sessions/session-store.ts'
import { decodeMessage, decodeWill, messageFormat } from '../kit/stored-message.ts'

/**
 * A message from its row; undefined where the row is damaged, which is logged: it harms nothing else. One that a newer version has written can be read by that
 * one, so it stays: that is an error.
 */
export function readMessage(log: Log, row: Buffer, clockShift: number): Message | undefined {
  try {
    return decodeMessage(row, undefined, clockShift)
  } catch (error) {
    if ((row[0] ?? 0) > messageFormat) throw error
    log.error({ err: error }, 'a stored message cannot be read and is left out')
    return undefined
  }
}

/** A will from its row; null where it cannot be read, which is logged: it harms nothing else. */
export function readWill(log: Log, clientId: string, row: Buffer | undefined): StoredWill | null {
  if (row === undefined) return null
  try {
    return decodeWill(row)
  } catch (error) {
    log.error({ err: error, clientId }, 'a stored will cannot be read and is left out')
    return null
  }
}

/** What stands for a message that is lost, in `onDrop`. */
export function lostMessage(now: number): Message {
  return new Message({ topic: '', payload: Buffer.alloc(0), qos: 0, retain: false, origin: 'server', clientId: '', receivedAt: now })
}
