import { type Claim, type Due, type EndedSession, type SessionKey, SessionLostError } from '../../core/sessions/session-store.ts'
import type { Ending } from './ending.ts'

// What the verbs of the session store answer, and when what stands for it goes from the disk.

const nothingQueued = { messages: 0, bytes: 0 }

/** Something that has come due; null: it could not be read. */
export interface DueAnswer {
  readonly due: Due | null
  readonly done: () => void
}

/** A session that has ended because its time has come. */
export async function expired(ending: Promise<Ending>): Promise<DueAnswer> {
  const { ended, done } = await ending
  return { due: { kind: 'expired', session: ended }, done }
}

/**
 * A session that has ended, for whoever hands on in the same turn what it leaves. What stands for that goes from the disk behind it, in the same batch: a
 * crash leaves either both as they were or both as they are to be.
 */
export function handOn({ ended, done }: Ending): EndedSession {
  process.nextTick(done)
  return ended
}

/** The same for all that has come due. */
export function handAllOn(found: readonly DueAnswer[]): Due[] {
  process.nextTick(() => {
    for (const { done } of found) done()
  })
  return found.flatMap(({ due }) => due ?? [])
}

/** A claim of a session that was not there. */
export function newClaim(epoch: number, ended: EndedSession | null): Claim {
  return { epoch, present: false, subscriptions: [], receivedIds: [], queued: nothingQueued, ended }
}

/** A verb never throws. */
export function rejectLost({ clientId }: SessionKey): Promise<never> {
  return Promise.reject(new SessionLostError(clientId))
}

/** The same for a read of the disk that fails. */
export function answer<T>(work: () => T | Promise<T>): T | Promise<T> {
  try {
    return work()
  } catch (error) {
    return Promise.reject(error)
  }
}
