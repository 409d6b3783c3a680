import type { Broker } from '../../../core/broker.ts'
import type { Client } from '../../../core/connection/client.ts'
import { cachesOf } from '../bounded-cache.ts'
import { type ClientRow, rowOf } from './clients.ts'
import type { memoryVerb, topVerb } from './declarations.ts'
import type { VerbWork } from './define-verb.ts'
import { firstOf, inSlices, mergePages, type RowKey } from './page.ts'

const measures: Readonly<Record<string, (client: Client) => number>> = {
  unwritten: ({ unwrittenBytes }) => unwrittenBytes,
  queued: ({ queued }) => queued,
  held: ({ heldBytes }) => heldBytes,
  unanswered: ({ unanswered }) => unanswered,
}

/** A client at the top, and the number that has brought it there. */
export interface TopRow extends ClientRow {
  /** In the unit of what was asked for: bytes or messages. */
  readonly value: number
}

/** The clients with most of something, those with none of it left out. */
export const top: VerbWork<typeof topVerb.takes> = {
  run: async (broker, { by, limit }) => ({ rows: await topOf(broker, by, limit), next: null }),
  merge: (parts, missing, { limit }) => ({ ...mergePages<TopRow>(parts, missing, limit, ({ value, id }) => [value, id]), next: null }),
}

async function topOf(broker: Broker, by: string, limit: number): Promise<TopRow[]> {
  const measure = measures[by]!
  const { found } = await firstOf(broker, broker.clients, {
    limit,
    after: null,
    keep: client => client.state === 'connected' && measure(client) > 0,
    keyOf: (client): RowKey => [measure(client), client.clientId],
  })
  return found.map(client => ({ ...rowOf(client, broker.verbs.node), value: measure(client) }))
}

/** What fills the memory of this node. */
export interface MemoryAnswer {
  /** Bytes of the process, as the system counts them. */
  readonly rss: number
  /** Bytes of JavaScript's objects. */
  readonly heapUsed: number
  /** Bytes outside of it: buffers. */
  readonly external: number
  /** Bytes that connected clients keep: the sum of their `held`. */
  readonly clients: number
  /** Bytes of retained messages; null: they are not counted. */
  readonly retained: number | null
  /** Bytes that are kept to spare time, by cache. */
  readonly caches: Readonly<Record<string, number>>
  /** The clients that keep most. */
  readonly rows: readonly TopRow[]
}

/** Who fills the memory. */
export const memory: VerbWork<typeof memoryVerb.takes> = {
  async run(broker, { limit }): Promise<MemoryAnswer> {
    const { rss, heapUsed, external } = process.memoryUsage()
    const rows = await topOf(broker, 'held', limit)
    let clients = 0
    await inSlices(broker, broker.clients, ({ heldBytes }) => {
      clients += heldBytes
    })
    const caches = Object.fromEntries([...cachesOf(broker)].map(({ name, bytes }) => [name, bytes]))
    return { rss, heapUsed, external, clients, retained: broker.services.find('retained')?.bytes ?? null, caches, rows }
  },
}
