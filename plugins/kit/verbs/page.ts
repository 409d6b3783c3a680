import type { Broker } from '../../../core/broker.ts'
import type { MissingNode, VerbPart } from './verbs.ts'

/** A page of rows. */
export interface Page<R> {
  /** The rows, at most as many as were asked for. */
  readonly rows: readonly R[]
  /** What to ask on with, as `after`; null: there are no more. */
  readonly next: string | null
  /** Nodes that have not answered; left out: all have. */
  readonly missing?: readonly MissingNode[]
}

/** What every verb takes that answers in pages. */
export const pageOptions = {
  /** Rows at most. */
  limit: { type: 'integer', minimum: 1, maximum: 200, default: 100 },
  /** What `next` of the page before said. */
  after: { type: 'string', default: null },
} as const

/** What a row is sorted by, and its name where that does not tell. */
export type RowKey = readonly [value: string | number, id: string]

/** Which rows are wanted. */
export interface Selection<T> {
  /** Rows at most. */
  readonly limit: number
  /** Only what stands behind this key; null: from the first. */
  readonly after: RowKey | null
  /** Whether it is one of those that are wanted. */
  keep(item: T): boolean
  /** What it is sorted by. */
  keyOf(item: T): RowKey
}

// A query that has worked for so long goes on in a later turn of the event loop.
const sliceMs = 1

/**
 * The first rows of what there is, in order, a slice in each turn of the event loop: nothing but the page is kept, and nothing is remembered between pages,
 * so that it does not matter who asks on, how late, or at which node.
 */
export async function firstOf<T>(
  broker: Broker,
  items: Iterable<T>,
  { limit, after, keep, keyOf }: Selection<T>,
): Promise<{ found: T[]; more: boolean }> {
  let best: { item: T; key: RowKey }[] = []
  let more = false
  const cut = (): void => {
    best.sort((a, b) => compareKeys(a.key, b.key))
    if (best.length > limit) more = true
    best = best.slice(0, limit)
  }
  await inSlices(broker, items, item => {
    if (!keep(item)) return
    const key = keyOf(item)
    if (after !== null && compareKeys(key, after) <= 0) return
    best.push({ item, key })
    if (best.length >= limit * 2 + 64) cut()
  })
  cut()
  return { found: best.map(({ item }) => item), more }
}

/** Does something with each of many, for at most a millisecond in each turn of the event loop. */
export async function inSlices<T>(broker: Broker, items: Iterable<T>, act: (item: T) => void): Promise<void> {
  let since = broker.clock.now()
  let count = 0
  for (const item of items) {
    count += 1
    if ((count & 15) === 0 && broker.clock.now() - since > sliceMs) {
      await broker.turns.next()
      since = broker.clock.now()
    }
    act(item)
  }
}

/** Numbers from the highest down, texts from the first on. */
export function compareKeys([a, idA]: RowKey, [b, idB]: RowKey): number {
  if (typeof a === 'number' && typeof b === 'number' && a !== b) return b - a
  if (typeof a === 'string' && typeof b === 'string' && a !== b) return a < b ? -1 : 1
  return idA === idB ? 0 : idA < idB ? -1 : 1
}

/** `next` of a page whose last row has this key. */
export function writeCursor(key: RowKey): string {
  return Buffer.from(JSON.stringify(key)).toString('base64url')
}

/** What `writeCursor` wrote; null for null, and for what it did not write. */
export function readCursor(text: string | null): RowKey | null {
  if (text === null) return null
  try {
    const key = JSON.parse(Buffer.from(text, 'base64url').toString()) as unknown
    return Array.isArray(key) && key.length === 2 && typeof key[1] === 'string' ? (key as unknown as RowKey) : null
  } catch {
    return null
  }
}

/** One page of those of all nodes. `keyOf` reads off a row what it is sorted by. */
export function mergePages<R>(
  parts: readonly VerbPart[],
  missing: readonly MissingNode[],
  limit: number,
  keyOf: (row: R) => RowKey,
): Page<R> {
  const pages = parts.map(({ answer }) => answer as Page<R>)
  const all = pages.flatMap(({ rows }) => rows).sort((a, b) => compareKeys(keyOf(a), keyOf(b)))
  const rows = all.slice(0, limit)
  const more = all.length > limit || pages.some(({ next }) => next !== null)
  return { rows, next: more && rows.length > 0 ? writeCursor(keyOf(rows.at(-1)!)) : null, ...(missing.length > 0 ? { missing } : {}) }
}
