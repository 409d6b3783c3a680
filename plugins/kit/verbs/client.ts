import type { Broker } from '../../../core/broker.ts'
import type { Session } from '../../../core/connection/client.ts'
import type { Message } from '../../../core/messages/message.ts'
import { queuedBytes } from '../../../core/sessions/queue-policy.ts'
import type { QueueEntry } from '../../../core/sessions/session-store.ts'
import { dropsOf } from '../services/drops.ts'
import { type ClientRow, rowOf } from './clients.ts'
import type { clientVerb, queueVerb } from './declarations.ts'
import type { VerbWork } from './define-verb.ts'
import { namesOf } from './topics.ts'

const rowsMax = 200

/** One client and its session, whole. */
export interface ClientDetails extends Partial<ClientRow> {
  /** The client id. */
  readonly id: string
  /** It has a session here or in the store. */
  readonly known: boolean
  /** It is connected, to `node`. */
  readonly connected: boolean
  /** The session outlives its connection, for so many milliseconds; null: for ever. Left out: it ends with it. */
  readonly expiryMs?: number | null
  /** The subscriptions of the session, at most 200; `subscriptions` says how many there are. `requested`: the client's own filter, where a plugin has put `filter` in its place. */
  readonly filters?: readonly { readonly filter: string; readonly requested?: string; readonly qos: number }[]
  /** Messages that the client has published and that are not yet acknowledged. */
  readonly unanswered?: number
  /** The topic of its will; null: it has none. */
  readonly will?: string | null
  /** Messages that it did not get, by reason, as far as plugin `dropLog` remembers. */
  readonly drops?: Readonly<Record<string, number>>
  /** Nodes that have not answered. */
  readonly missing?: readonly { readonly node: string; readonly why: string }[]
}

/** One client whole, wherever it is connected. */
export const client: VerbWork<typeof clientVerb.takes> = {
  run(broker, { id }): ClientDetails {
    const session = broker.sessionOf(id)
    const connection = broker.clientOf(id)
    const drops = dropsOf(broker)?.of(id) ?? null
    const seen = drops === null ? {} : { drops }
    if (session === undefined) return { id, known: false, connected: false, ...seen }
    const connected = connection?.state === 'connected'
    return {
      ...(connected ? rowOf(connection, broker.verbs.node) : { id, user: session.username, subscriptions: session.subscriptions.size }),
      id,
      known: true,
      connected,
      ...(connected ? { unanswered: connection.unanswered, will: connection.will?.message.topic ?? null } : {}),
      ...(session.durable ? { expiryMs: finite(session.expiryMs) } : {}),
      filters: filtersOf(session),
      ...seen,
    }
  },
  // The node that has its connection knows most.
  merge(parts, missing): ClientDetails {
    const answers = parts.map(({ answer }) => answer as ClientDetails)
    const best = answers.find(({ connected }) => connected) ?? answers.find(({ known }) => known) ?? answers[0]!
    const drops: Record<string, number> = {}
    for (const one of answers) for (const [reason, count] of Object.entries(one.drops ?? {})) drops[reason] = (drops[reason] ?? 0) + count
    return { ...best, ...(Object.keys(drops).length > 0 ? { drops } : {}), ...(missing.length > 0 ? { missing } : {}) }
  },
}

function filtersOf({ subscriptions }: Session): NonNullable<ClientDetails['filters']> {
  const found: NonNullable<ClientDetails['filters']>[number][] = []
  for (const one of subscriptions.values()) {
    if (found.length === rowsMax) break
    found.push({ ...namesOf(one), qos: one.qos })
  }
  return found
}

/** JSON has no Infinity. */
export function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null
}

/** What waits for one session. */
export interface QueueAnswer {
  /** The client id. */
  readonly id: string
  /** There is such a session. */
  readonly known: boolean
  /** Messages that wait, those in flight too. */
  readonly messages: number
  /** Bytes of those that were looked at: all of a stored session's, the first 200 of another's. */
  readonly bytes: number
  /** When the oldest came: milliseconds since the Unix epoch; null: none waits. */
  readonly oldestAt: number | null
  /** The first of them, where they were asked for; never a payload. */
  readonly peek: readonly WaitingRow[]
  /** Nodes that have not answered. */
  readonly missing?: readonly { readonly node: string; readonly why: string }[]
}

/** A message that waits. */
export interface WaitingRow {
  /** Its topic name. */
  readonly topic: string
  /** The bytes of its payload. */
  readonly bytes: number
  /** The QoS that it was published with. */
  readonly qos: number
  /** When it came: milliseconds since the Unix epoch. */
  readonly at: number
  /** The client id of its publisher. */
  readonly from: string
  /** It has been sent, and not yet been acknowledged. */
  readonly sent: boolean
}

// So many messages of a stored queue are looked at; the rest is not counted.
const countedMax = 10_000

/** What waits for a session, and how old it is. */
export const queue: VerbWork<typeof queueVerb.takes> = {
  async run(broker, { id, peek }): Promise<QueueAnswer> {
    const session = broker.sessionOf(id)
    if (session === undefined || session.durable) {
      const stored = await storedQueue(broker, id, peek)
      if (stored !== null) return stored
    }
    const waiting = session?.waiting(rowsMax) ?? []
    return {
      id,
      known: session !== undefined,
      messages: (session?.client?.queued ?? 0) + (session?.client?.inFlight ?? 0),
      bytes: waiting.reduce((sum, message) => sum + queuedBytes(message, null), 0),
      oldestAt: waiting[0]?.receivedAt ?? null,
      peek: waiting.slice(0, peek).map(message => rowFor(message, false)),
    }
  },
  merge(parts, missing): QueueAnswer {
    const answers = parts.map(({ answer }) => answer as QueueAnswer)
    const best = answers.reduce((a, b) => (b.known && (!a.known || b.messages > a.messages) ? b : a))
    return { ...best, ...(missing.length > 0 ? { missing } : {}) }
  },
}

async function storedQueue(broker: Broker, id: string, peek: number): Promise<QueueAnswer | null> {
  const store = broker.services.find('sessions')
  if (store?.peek === undefined) return null
  let [messages, bytes, position] = [0, 0, 0]
  let oldestAt: number | null = null
  const rows: WaitingRow[] = []
  for (;;) {
    const entries: readonly QueueEntry[] | null = await store.peek(id, position, rowsMax)
    if (entries === null) return null
    for (const { message, identifiers, packetId } of entries) {
      messages += 1
      bytes += queuedBytes(message, identifiers)
      oldestAt ??= message.receivedAt
      if (rows.length < peek) rows.push(rowFor(message, packetId !== 0))
    }
    if (entries.length < rowsMax || messages >= countedMax) return { id, known: true, messages, bytes, oldestAt, peek: rows }
    position = entries.at(-1)!.position
    await broker.turns.next()
  }
}

function rowFor(message: Message, sent: boolean): WaitingRow {
  const { topic, payloadLength: bytes, qos, receivedAt: at, clientId: from } = message
  return { topic, bytes, qos, at, from, sent }
}
