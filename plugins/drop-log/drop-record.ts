import type { DropRow, Drops } from '../kit/services/drops.ts'

// So many rows are remembered, some 500 bytes each.
const rowsMax = 1000
// What was dropped is counted for so many clients; one more, and the one that was counted first is forgotten.
const clientsMax = 10_000
const minutesMax = 24 * 60
const minuteMs = 60_000
// Clients choose ids and topic names, of up to 64 KiB.
const textMax = 200

/** What was dropped lately, bounded whatever happens: the last rows, counts of clients, and counts by minute. */
export class DropRecord implements Drops {
  readonly #now: () => number
  readonly #rows: { -readonly [K in keyof DropRow]: DropRow[K] }[] = []
  readonly #clients = new Map<string, Record<string, number>>()
  // By the minute since the Unix epoch.
  readonly #minutes = new Map<number, Record<string, number>>()

  constructor(now: () => number) {
    this.#now = now
  }

  add(clientId: string, topic: string, reason: string, code?: number): void {
    const at = this.#now()
    const last = this.#rows.at(-1)
    const id = clipped(clientId)
    if (last !== undefined && last.id === id && last.reason === reason && last.code === code) {
      last.at = at
      last.count += 1
      if (last.topic !== topic) last.topic = clipped(topic)
    } else {
      if (this.#rows.length === rowsMax) this.#rows.shift()
      this.#rows.push({ at, id, topic: clipped(topic), reason, count: 1, ...(code === undefined ? {} : { code }) })
    }
    raise(this.#clients, id, reason, clientsMax)
    raise(this.#minutes, Math.floor(at / minuteMs), reason, minutesMax)
  }

  of(clientId: string): Readonly<Record<string, number>> | null {
    return this.#clients.get(clipped(clientId)) ?? null
  }

  last(limit: number, clientId?: string): DropRow[] {
    const id = clientId === undefined ? undefined : clipped(clientId)
    const found: DropRow[] = []
    for (let i = this.#rows.length - 1; i >= 0 && found.length < limit; i--) {
      const row = this.#rows[i]!
      if (id === undefined || row.id === id) found.push({ ...row })
    }
    return found
  }

  within(ms: number): Record<string, number> {
    const from = Math.floor((this.#now() - ms) / minuteMs)
    const sums: Record<string, number> = {}
    for (const [minute, counts] of this.#minutes) {
      if (minute < from) continue
      for (const [reason, count] of Object.entries(counts)) sums[reason] = (sums[reason] ?? 0) + count
    }
    return sums
  }
}

function raise<K>(counts: Map<K, Record<string, number>>, key: K, reason: string, keysMax: number): void {
  let of = counts.get(key)
  if (of === undefined) {
    if (counts.size === keysMax) counts.delete(counts.keys().next().value!)
    counts.set(key, (of = {}))
  }
  of[reason] = (of[reason] ?? 0) + 1
}

// A part of a string keeps the whole of it; a copy does not.
function clipped(given: string): string {
  // A plugin may have given a message a topic that is no text.
  const text = String(given)
  return text.length <= textMax ? text : Buffer.from(`${text.slice(0, textMax)}…`).toString()
}
