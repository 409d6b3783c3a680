import type { QueueEntry, SessionPage, SessionSummary, StoredSessionState, StoreTotals } from '../../core/sessions/session-store.ts'
import { entryKey, entryKeyBytes, Kind, numberKey, readNumber } from './keys.ts'
import { readWill } from './read-stored.ts'
import { decodeSession, readEntryHead } from './records.ts'
import { SessionQueue } from './session-queue.ts'
import type { SessionTable } from './session-table.ts'
import type { StoreParts } from './store-parts.ts'
import type { QueueSize, StoredSession } from './stored-session.ts'
import { readReceivedIds, readSubscriptions } from './subscriptions.ts'

// Rows counted in one go; others have their turn in between.
const part = 1000

/** A part of a session's queue for somebody who does not own it. */
export function peekQueue(
  parts: StoreParts,
  session: StoredSession,
  position: number,
  limit: number,
): QueueEntry[] | Promise<QueueEntry[]> {
  const { queue } = session
  // One that is not in memory has nothing on its way to the disk.
  if (queue === null) return new SessionQueue(parts, session.number).peek(position, limit)
  const needed = Math.max(queue.pageNeeds(position), queue.endNeeds)
  return needed > 0 ? parts.commit.settled(needed).then(() => queue.peek(position, limit)) : queue.peek(position, limit)
}

/** All of a session but its queue. */
export async function stateOf(parts: StoreParts, session: StoredSession): Promise<StoredSessionState | null> {
  const { database, commit, time, log } = parts
  const { messages, bytes } = await sizeOfQueue(parts, session)
  await commit.settled(session.batch)
  const { clientId, number, user, node, connected, closedAt, expiryMs, willDelayMs } = session
  const isTimed = !connected && (willDelayMs >= 0 || Number.isFinite(expiryMs))
  const state = {
    clientId,
    node: connected ? node : null,
    closedAt: isTimed ? closedAt - time.shift : null,
    expiryMs,
    will: willDelayMs < 0 ? null : readWill(log, clientId, database.get(numberKey(Kind.Will, number))),
    subscriptions: readSubscriptions(database, number),
    receivedIds: readReceivedIds(database, number),
    queued: { messages, bytes },
  }
  return user === undefined ? state : { ...state, user }
}

/** A page of the sessions that are on the disk, in the order of their numbers, which are the cursor. */
export async function listSessions(parts: StoreParts, table: SessionTable, after: string | null, limit: number): Promise<SessionPage> {
  const start = numberKey(Kind.Session, after === null ? 0 : Number(after) + 1)
  const page = [...parts.database.found(start, numberKey((Kind.Session + 1) as Kind, 0), limit)]
  const sessions: SessionSummary[] = []
  for (const { key, value } of page) {
    if (value === null) continue
    const session = table.get(decodeSession(value).clientId)
    // It may have ended, and another may have begun under its client id.
    if (session === undefined || session.number !== readNumber(key, 1)) continue
    const subscriptions = await countSubscriptions(parts, session)
    const { messages, bytes } = await sizeOfQueue(parts, session)
    if (table.get(session.clientId) !== session) continue
    const { clientId, user, node, connected, expiresAt } = session
    const summary = {
      clientId,
      node: connected ? node : null,
      expiresAt: expiresAt - parts.time.shift,
      subscriptions,
      queued: { messages, bytes },
    }
    sessions.push(user === undefined ? summary : { ...summary, user })
  }
  return { sessions, next: page.length < limit ? null : String(readNumber(page.at(-1)!.key, 1)) }
}

/** What is stored in all. `ending`: sessions that ended in an earlier run, of which something is left. */
export function storeTotals(parts: StoreParts, table: SessionTable, ending: readonly StoredSession[]): StoreTotals | Promise<StoreTotals> {
  const { totals } = parts
  const now = (): StoreTotals => ({ sessions: table.size, messages: totals.messages, bytes: totals.bytes })
  if (totals.complete) return now()
  totals.counting ??= completeTotals(parts, table, ending)
  return totals.counting.then(now)
}

// Counts all queues that were not counted yet, once: afterwards the totals are known.
async function completeTotals(parts: StoreParts, table: SessionTable, ending: readonly StoredSession[]): Promise<void> {
  for (const session of table.values()) await sizeOfQueue(parts, session)
  for (const session of ending) session.queue ??= SessionQueue.load(parts, session.number, false)
  parts.totals.complete = true
}

async function countSubscriptions({ database, commit, clock }: StoreParts, session: StoredSession): Promise<number> {
  const { number, subscriptionChanges } = session
  if (session.countedAt === subscriptionChanges) return session.subscriptions
  await commit.settled(session.batch)
  let count = 0
  let start = numberKey(Kind.Subscription, number)
  for (let found = part; found === part; ) {
    found = 0
    let last = start
    for (const { key } of database.range(start, numberKey(Kind.Subscription, number + 1), part)) {
      found += 1
      last = key
    }
    count += found
    start = Buffer.concat([last, Buffer.from([0])])
    if (found === part) await new Promise<void>(resolve => clock.turn(resolve))
  }
  session.countedAt = subscriptionChanges
  session.subscriptions = count
  return count
}

async function sizeOfQueue({ database, totals, clock }: StoreParts, session: StoredSession): Promise<QueueSize> {
  let messages = 0
  let bytes = 0
  let after = 0
  for (let found = part; found === part; ) {
    // One that is in memory knows, and so does one that was.
    if (session.queue !== null) return session.queue
    if (session.queued !== null) return session.queued
    found = 0
    for (const { key, value } of database.found(entryKey(session.number, after + 1), numberKey(Kind.Queue, session.number + 1), part)) {
      found += 1
      if (key.length < entryKeyBytes) continue
      after = readNumber(key, 7)
      if (key.length !== entryKeyBytes) continue
      messages += 1
      bytes += value === null ? 0 : readEntryHead(value).bytes
    }
    if (found === part) await new Promise<void>(resolve => clock.turn(resolve))
  }
  session.queued = { messages, bytes }
  totals.counted(messages, bytes)
  return session.queued
}
