import type { EndedSession, QueueEntry, SessionStoreEvents } from '../../core/sessions/session-store.ts'
import type { CheckedRows } from './checked-rows.ts'
import { Kind, numberKey, readNumber, receivedKey, subscriptionKey } from './keys.ts'
import { lostMessage, readWill } from './read-stored.ts'
import { decodeSession, encodeSession } from './records.ts'
import { SessionQueue } from './session-queue.ts'
import type { StoreParts } from './store-parts.ts'
import { StoredSession } from './stored-session.ts'
import { readReceivedIds, readSubscriptions } from './subscriptions.ts'

/** A session that is no more, and how to be done with what it leaves once others have it. */
export interface Ending {
  readonly ended: EndedSession
  /** Called when what it leaves has been handed on. */
  done(): void
}

// Entries ended in one go; others have their turn in between.
const part = 1000

/** A session is to end: from now on it is none, whatever becomes of this broker. */
export function beginEnding({ commit }: StoreParts, session: StoredSession): void {
  commit.remove(numberKey(Kind.Session, session.number))
  commit.put(numberKey(Kind.Ended, session.number), encodeSession(session))
}

/** Those that an earlier run could not finish. */
export function unfinishedEndings(database: CheckedRows): StoredSession[] {
  const sessions: StoredSession[] = []
  for (const { key, value } of database.range(numberKey(Kind.Ended, 0), numberKey((Kind.Ended + 1) as Kind, 0))) {
    const { clientId, willDelayMs } = decodeSession(value)
    const session = new StoredSession(clientId, readNumber(key, 1))
    session.willDelayMs = willDelayMs
    sessions.push(session)
  }
  return sessions
}

/**
 * Ends a session whose ending has begun: what it had waiting is dropped, what belongs to shared groups and its will are handed to whoever asked,
 * and stay on disk until `done`, so that a crash in between loses neither.
 */
export async function finishEnding(parts: StoreParts, session: StoredSession, events: SessionStoreEvents): Promise<Ending> {
  const { commit, database, log, time, totals } = parts
  const { clientId, number } = session
  // Before anything is waited for: who counts all queues does not find this one any more.
  const isCounted = totals.complete || session.queued !== null
  session.queue ??= isCounted ? new SessionQueue(parts, number) : SessionQueue.load(parts, number, false)
  const { queue } = session
  await commit.kept()
  const shared: QueueEntry[] = []
  for (let after = 0, count = part; count === part; ) {
    count = 0
    for (const entry of queue.page(after, part, () => events.dropped(clientId, lostMessage(time.now() - time.shift), 'storeFailed'))) {
      count += 1
      after = entry.position
      if (entry.group !== null) {
        shared.push(entry)
        continue
      }
      queue.remove(entry.position)
      if (!entry.released) events.dropped(clientId, entry.message, 'sessionEnded')
    }
    if (count === part) await commit.kept()
  }
  const subscriptions = readSubscriptions(database, number)
  for (const { filter } of subscriptions) commit.remove(subscriptionKey(number, filter))
  for (const packetId of readReceivedIds(database, number)) commit.remove(receivedKey(number, packetId))
  parts.spread.ended(number)
  const willRow = numberKey(Kind.Will, number)
  const will = session.willDelayMs < 0 ? null : readWill(log, clientId, database.get(willRow))
  const done = (): void => {
    for (const { position } of shared) queue.remove(position)
    commit.remove(willRow)
    commit.remove(numberKey(Kind.Ended, number))
  }
  return { ended: { clientId, epoch: Math.max(session.epoch, number), subscriptions, will, shared }, done }
}
