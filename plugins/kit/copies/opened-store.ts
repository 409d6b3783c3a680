import type { QueueLimits, SessionStore, SessionStoreEvents } from '../../../core/sessions/session-store.ts'
import type { RetainedStore } from '../services/retained.ts'
import type { State } from '../services/state.ts'

/** A store that is open without a broker, to be read or written as a whole. */
export interface OpenedStore {
  /** What to call it in a message: `disk:./data`. */
  readonly name: string
  /** What a broker that was not stopped in order owes, and only a broker can hand on: a clause each. */
  readonly owed: readonly string[]
  /** The stored sessions. */
  readonly sessions: SessionStore
  /** The retained messages. */
  readonly retained: RetainedStore
  /** What all nodes know. */
  readonly state: State
  /** Keeps what was written, and gives the store back. */
  close(): Promise<void>
}

/** Nobody is told of anything, because there is no broker. */
export const noEvents: SessionStoreEvents = { dropped: () => {}, lost: () => {}, appended: () => {} }

/** What was kept elsewhere is kept here: how much a queue may hold counts when messages come. */
export const noLimits: QueueLimits = {
  messagesMax: Number.MAX_SAFE_INTEGER,
  bytesMax: Number.MAX_SAFE_INTEGER,
  whenFull: 'dropNewest',
}

/**
 * By how much the time of a store is ahead, in whole seconds. It is known to some milliseconds only, another number at each start; so what is copied there and back is what it was. All that
 * comes due is counted in seconds.
 */
export function steadyShift(shift: number): number {
  return Math.round(shift / 1000) * 1000
}
