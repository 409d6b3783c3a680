import type { Subscription } from '../../core/routing/subscription.ts'
import type { StoredSubscriber } from '../../core/sessions/session-store.ts'
import type { CheckedRows } from './checked-rows.ts'
import { Kind, numberKey, readNumber } from './keys.ts'
import { decodeSubscription } from './records.ts'
import type { SessionTable } from './session-table.ts'

export function readSubscriptions(database: CheckedRows, session: number): Subscription[] {
  const subscriptions: Subscription[] = []
  for (const { value } of database.range(numberKey(Kind.Subscription, session), numberKey(Kind.Subscription, session + 1))) {
    subscriptions.push(decodeSubscription(value))
  }
  return subscriptions
}

export function readReceivedIds(database: CheckedRows, session: number): number[] {
  const ids: number[] = []
  for (const { key } of database.range(numberKey(Kind.Received, session), numberKey(Kind.Received, session + 1)))
    ids.push(key.readUInt16BE(7))
  return ids
}

/** All sessions with what they have subscribed to: one walk over all subscriptions, not one for each session. */
export function* readSubscribers(database: CheckedRows, table: SessionTable): Iterable<StoredSubscriber> {
  const bySession = new Map<number, Subscription[]>()
  for (const { key, value } of database.range(numberKey(Kind.Subscription, 0), numberKey((Kind.Subscription + 1) as Kind, 0))) {
    const session = readNumber(key, 1)
    const known = bySession.get(session)
    if (known === undefined) bySession.set(session, [decodeSubscription(value)])
    else known.push(decodeSubscription(value))
  }
  for (const session of table.values()) {
    const { clientId, user } = session
    const subscriptions = bySession.get(session.number) ?? []
    // Counted on the way, where nothing of it is still to come on the disk.
    if (session.batch === 0) {
      session.subscriptions = subscriptions.length
      session.countedAt = session.subscriptionChanges
    }
    // The number of a session is less than the epoch of each of its owners, and more than that of any session before it.
    const subscriber = { clientId, subscriptions, epoch: session.number }
    yield user === undefined ? subscriber : { ...subscriber, user }
  }
}
