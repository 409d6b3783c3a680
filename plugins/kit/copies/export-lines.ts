import { OperatorError } from '../../../core/errors.ts'
import type { SessionStore } from '../../../core/sessions/session-store.ts'
import type { RetainedStore } from '../services/retained.ts'
import type { State } from '../services/state.ts'
import { type CopyCounts, copyHead, queuedLine, retainedLine, sessionLine, stateLine, subscriptionLine } from './copy-lines.ts'

/** What an export reads: what a broker keeps beyond connections. */
export interface CopiedStores {
  /** The stored sessions; null: none are exported. */
  readonly sessions: SessionStore | null
  /** The retained messages; null: none are exported. */
  readonly retained: RetainedStore | null
  /** What all nodes know; null: it is not exported. */
  readonly state: State | null
}

const namesPage = 200
// Messages held at once: each may be as large as a packet may.
const entriesPage = 32
const topicsPage = 32
const identifiersPerLine = 1000

/**
 * All that stores hold, as the objects of an export's lines, in an order that says nothing of when it came there: the state by key, sessions by client id, each with its subscriptions by topic filter
 * and its queue, then retained messages by topic name. In memory there are the names of all, and a page of messages. What changes meanwhile is there as before or as after.
 */
export async function* exportLines({ sessions, retained, state }: CopiedStores): AsyncGenerator<object, void, undefined> {
  const counts: CopyCounts = { sessions: 0, queued: 0, retained: 0, state: 0 }
  yield copyHead
  for (const entry of (state?.entries('') ?? []).sort((a, b) => order(a.key, b.key))) {
    counts.state += 1
    yield stateLine(entry)
  }
  if (sessions !== null)
    for (const clientId of await clientIdsOf(sessions)) {
      for await (const line of sessionLines(sessions, clientId, counts)) yield line
    }
  if (retained !== null)
    for (const topic of await topicsOf(retained)) {
      const { messages } = await retained.match(topic).next(1)
      for (const message of messages) {
        counts.retained += 1
        yield retainedLine(message)
      }
    }
  yield { end: counts }
}

async function* sessionLines(sessions: SessionStore, clientId: string, counts: CopyCounts): AsyncGenerator<object, void, undefined> {
  const state = await sessions.inspect!(clientId)
  // It has ended since its name was read.
  if (state === null) return
  counts.sessions += 1
  yield sessionLine(state)
  for (const subscription of [...state.subscriptions].sort((a, b) => order(a.filter, b.filter))) yield subscriptionLine(subscription)
  const packetIds = [...state.receivedIds].sort((a, b) => a - b)
  for (let i = 0; i < packetIds.length; i += identifiersPerLine) yield { received: packetIds.slice(i, i + identifiersPerLine) }
  for (let position = 0; ; ) {
    const entries = (await sessions.peek!(clientId, position, entriesPage)) ?? []
    for (const entry of entries) {
      counts.queued += 1
      yield queuedLine(entry)
    }
    if (entries.length < entriesPage) return
    position = entries.at(-1)!.position
  }
}

async function clientIdsOf(sessions: SessionStore): Promise<string[]> {
  if (sessions.list === undefined || sessions.peek === undefined || sessions.inspect === undefined)
    throw new OperatorError('ERR_COPY_STORE', 'this session store cannot be exported: it has no list, peek and inspect')
  const clientIds: string[] = []
  for (let after: string | null = null; ; ) {
    const page: Awaited<ReturnType<typeof sessions.list>> = await sessions.list(after, namesPage)
    for (const { clientId } of page.sessions) clientIds.push(clientId)
    if (page.next === null) return clientIds.sort(order)
    after = page.next
  }
}

// What the broker says of itself, below $SYS, the next one says for itself.
async function topicsOf(retained: RetainedStore): Promise<string[]> {
  const topics: string[] = []
  const walk = retained.match('#')
  for (;;) {
    const { messages, done } = await walk.next(topicsPage)
    for (const { topic } of messages) topics.push(topic)
    if (done) return topics.sort(order)
  }
}

/** By code units, as everywhere. */
function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

declare module '../../../core/error-codes.js' {
  interface ErrorCodes {
    /** A store cannot be read or written as a whole, or not now. */
    ERR_COPY_STORE: true
  }
}
