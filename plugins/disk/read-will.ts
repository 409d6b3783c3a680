import type { Log } from '../../core/log.ts'
import { decodeWill } from '../../core/messages/stored-message.ts'
import type { StoredWill } from '../../core/sessions/session-store.ts'

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
