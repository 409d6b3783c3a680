import type { Broker } from '../../../core/broker.ts'
import type { OptionsOf } from '../../../core/options/options.ts'
import type { SessionSummary } from '../../../core/sessions/session-store.ts'
import { finite } from './client.ts'
import type { sessionsVerb } from './declarations.ts'
import type { VerbWork } from './define-verb.ts'
import { firstOf, type Page, readCursor, writeCursor } from './page.ts'

/** A session that outlives its connection, in one row. */
export interface SessionRow {
  /** The client id. */
  readonly id: string
  /** The user that it belongs to; null: a client without a user name, or unknown. */
  readonly user: string | null
  /** The node that its client is connected to; null: to none. */
  readonly node: string | null
  /** When it ends: milliseconds since the Unix epoch; null: it is connected, or never. */
  readonly expiresAt: number | null
  /** How many topic filters it has subscribed to. */
  readonly subscriptions: number
  /** Messages that wait in it, those in flight too. */
  readonly queued: number
  /** Bytes of these. */
  readonly bytes: number
}

type Given = OptionsOf<typeof sessionsVerb.takes>

// Of a store with many sessions that do not match, so many are looked at for one page.
const lookedAtMax = 2000

/** The stored sessions; of a store that cannot list them, those that this node knows. */
export const sessions: VerbWork<typeof sessionsVerb.takes> = {
  run: (broker, given): Promise<Page<SessionRow>> =>
    broker.services.find('sessions')?.list === undefined ? known(broker, given) : stored(broker, given),
}

async function stored(broker: Broker, given: Given): Promise<Page<SessionRow>> {
  const store = broker.services.get('sessions')
  const keep = filterOf(given)
  const rows: SessionRow[] = []
  let { after } = given
  let looked = 0
  for (;;) {
    // No more at a time than still fit, so that the place to go on from is the store's own.
    const page = await store.list!(after, given.limit - rows.length)
    for (const summary of page.sessions) {
      const row = rowOf(summary)
      if (keep(row)) rows.push(row)
    }
    looked += page.sessions.length
    after = page.next
    if (after === null || rows.length >= given.limit || looked >= lookedAtMax) return { rows, next: after }
    await broker.turns.next()
  }
}

function rowOf({ clientId: id, user, node, expiresAt, subscriptions, queued }: SessionSummary): SessionRow {
  return { id, user: user ?? null, node, expiresAt: finite(expiresAt), subscriptions, queued: queued.messages, bytes: queued.bytes }
}

async function known(broker: Broker, given: Given): Promise<Page<SessionRow>> {
  const keep = filterOf(given)
  const items = broker.knownSessions
  const row = (session: typeof items extends Iterable<infer S> ? S : never): SessionRow => ({
    id: session.clientId,
    user: session.username,
    node: session.client === null ? session.node : broker.verbs.node,
    expiresAt: null,
    subscriptions: session.subscriptions.size,
    queued: session.client?.queued ?? 0,
    bytes: 0,
  })
  const { found, more } = await firstOf(broker, items, {
    limit: given.limit,
    after: readCursor(given.after),
    keep: session => session.durable && keep(row(session)),
    keyOf: ({ clientId }) => [clientId, clientId],
  })
  const rows = found.map(row)
  const last = rows.at(-1)
  return { rows, next: more && last !== undefined ? writeCursor([last.id, last.id]) : null }
}

function filterOf({ user, disconnected, queued, match }: Given): (row: SessionRow) => boolean {
  return row =>
    (user === null || row.user === user) &&
    (!disconnected || row.node === null) &&
    (queued === null || row.queued >= queued) &&
    (match === null || row.id.includes(match))
}
