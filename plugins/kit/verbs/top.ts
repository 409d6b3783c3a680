import type { Broker } from '../../../core/broker.ts'
import type { Client } from '../../../core/connection/client.ts'
import { cachesOf } from '../bounded-cache.ts'
import { type ClientRow, rowOf } from './clients.ts'
import type { memoryVerb, topVerb } from './declarations.ts'
import type { VerbWork } from './define-verb.ts'
import { firstOf, inSlices, mergePages, type RowKey } from './page.ts'
import type { MissingNode } from './verbs.ts'

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

/** What fills the memory of a node; of a broker with several workers, of all its processes. */
export interface MemoryAnswer {
  /** Bytes of the process, as the system counts them. */
  readonly rss: number
  /** Bytes of JavaScript's objects. */
  readonly heapUsed: number
  /** Bytes outside of it: buffers. */
  readonly external: number
  /** Bytes that connected clients keep: the sum of their `held`. */
  readonly clients: number
  /** Bytes of retained messages; null: they are not counted. Where each worker has them, those of one. */
  readonly retained: number | null
  /** Bytes that are kept to spare time, by cache. */
  readonly caches: Readonly<Record<string, number>>
  /** The clients that keep most. */
  readonly rows: readonly TopRow[]
  /** Workers of this broker that have not answered. */
  readonly missing?: readonly MissingNode[]
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
  merge(parts, missing, { limit }): MemoryAnswer {
    const all = parts.map(({ answer }) => answer as MemoryAnswer)
    const sum = (of: (one: MemoryAnswer) => number): number => all.reduce((total, one) => total + of(one), 0)
    const caches: Record<string, number> = {}
    for (const one of all) for (const [name, bytes] of Object.entries(one.caches)) caches[name] = (caches[name] ?? 0) + bytes
    const rows = all.flatMap(one => one.rows).sort((a, b) => b.value - a.value)
    return {
      rss: sum(one => one.rss),
      heapUsed: sum(one => one.heapUsed),
      external: sum(one => one.external),
      clients: sum(one => one.clients),
      retained: all.some(({ retained }) => retained !== null) ? Math.max(...all.map(({ retained }) => retained ?? 0)) : null,
      caches,
      rows: rows.slice(0, limit),
      ...(missing.length > 0 ? { missing } : {}),
    }
  },
}
