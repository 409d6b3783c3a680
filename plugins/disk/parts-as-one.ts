import type { SessionPage, SessionStore, SessionSummary, StoreTotals } from '../../core/sessions/session-store.ts'
import { partOf } from '../kit/text-hash.ts'
import type { DiskSessions } from './disk-sessions.ts'

/** The parts of several workers as one store, in one process: for whoever copies what is in them while no broker runs, session by session. */
export function partsAsOne(parts: readonly DiskSessions[]): SessionStore {
  const of = (clientId: string): DiskSessions => parts[partOf(clientId, parts.length) - 1]!
  return {
    open(events, limits) {
      for (const part of parts) part.open(events, limits)
    },
    *sessions() {
      for (const part of parts) yield* part.sessions()
    },
    claim: request => of(request.clientId).claim(request),
    append: (message, targets, received) => of(received?.session.clientId ?? targets[0]!.clientId).append(message, targets, received),
    page: (session, position, limit) => of(session.clientId).page(session, position, limit),
    send: (session, position, packetId) => of(session.clientId).send(session, position, packetId),
    ack: (session, packetId) => of(session.clientId).ack(session, packetId),
    remove: (session, position) => of(session.clientId).remove(session, position),
    release: (session, packetId) => of(session.clientId).release(session, packetId),
    forget: (session, packetId) => of(session.clientId).forget(session, packetId),
    subscribe: (session, subscriptions) => of(session.clientId).subscribe(session, subscriptions),
    unsubscribe: (session, filters) => of(session.clientId).unsubscribe(session, filters),
    close: (session, ...given) => of(session.clientId).close(session, ...given),
    end: session => of(session.clientId).end(session),
    // Nothing comes due without a broker.
    expire: () => [],
    async flush() {
      for (const part of parts) await part.flush()
    },
    async totals() {
      const found: StoreTotals[] = []
      for (const part of parts) found.push(await part.totals())
      const sum = (key: keyof StoreTotals): number => found.reduce((total, one) => total + one[key], 0)
      return { sessions: sum('sessions'), messages: sum('messages'), bytes: sum('bytes') }
    },
    peek: (clientId, position, limit) => of(clientId).peek(clientId, position, limit),
    inspect: clientId => of(clientId).inspect(clientId),
    async list(after, limit) {
      const [part = '0', cursor = ''] = after === null ? [] : after.split(/:(.*)/s)
      const number = Number(part)
      const page: SessionPage = await parts[number]!.list(cursor === '' ? null : cursor, limit)
      const sessions: readonly SessionSummary[] = page.sessions
      if (page.next !== null) return { sessions, next: `${number}:${page.next}` }
      return { sessions, next: number + 1 < parts.length ? `${number + 1}:` : null }
    },
  }
}
