import type { Session } from '../../../core/connection/client.ts'
import type { Subscription } from '../../../core/routing/subscription.ts'
import type { subscriptionsVerb } from './declarations.ts'
import type { VerbWork } from './define-verb.ts'
import { firstOf, mergePages, type Page, type RowKey, readCursor, writeCursor } from './page.ts'
import { namesOf, type SubscriberRow, uniqueOf } from './topics.ts'

const keyOfRow = ({ filter, id }: SubscriberRow): RowKey => [filter, id]

/** The subscriptions of the sessions that the nodes know, by their topic filters. */
export const subscriptions: VerbWork<typeof subscriptionsVerb.takes> = {
  async run(broker, { match, id, limit, after }): Promise<Page<SubscriberRow>> {
    const sessionsOf = (): Iterable<Session> => {
      if (id === null) return broker.knownSessions
      const session = broker.sessionOf(id)
      return session === undefined ? [] : [session]
    }
    const all = function* (): Iterable<readonly [Session, Subscription]> {
      for (const session of sessionsOf()) for (const one of session.subscriptions.values()) yield [session, one]
    }
    const { found, more } = await firstOf(broker, all(), {
      limit,
      after: readCursor(after),
      keep: ([, { filter }]) => match === null || filter.includes(match),
      keyOf: ([{ clientId }, { filter }]): RowKey => [filter, clientId],
    })
    const rows = found.map(([{ clientId, online }, one]): SubscriberRow => ({ id: clientId, ...namesOf(one), qos: one.qos, online }))
    const last = rows.at(-1)
    return { rows, next: more && last !== undefined ? writeCursor(keyOfRow(last)) : null }
  },
  // Stored sessions are known to all nodes.
  merge: (parts, missing, { limit }) =>
    uniqueOf(mergePages<SubscriberRow>(parts, missing, limit * parts.length, keyOfRow), limit, keyOfRow),
}
