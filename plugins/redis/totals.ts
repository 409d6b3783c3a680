import type { StoreTotals } from '../../core/sessions/session-store.ts'
import { correct } from './operations/correct.ts'
import { totalField } from './script/layout.ts'
import { nothing, type Writes } from './writes.ts'

type Counts = { sessions: number; messages: number; bytes: number }

// Slots of a Redis Cluster that are asked at once.
const slotsPerPage = 500

/**
 * What all stored sessions hold together. The batch script counts it in each slot, in the same step as it changes. On a Redis Cluster there are as many of these counts as
 * slots with sessions, 16,384 at most.
 */
export class Totals {
  readonly #writes: Writes
  readonly #registered = new Set<string>()

  constructor(writes: Writes) {
    this.#writes = writes
  }

  /** What was kept is gone. */
  emptied(): void {
    this.#registered.clear()
  }

  /** There will be a session in the slot of this key: its count is among those that are read. */
  async register(sessionKey: string): Promise<void> {
    const { writers } = this.#writes
    if (!writers.link.isCluster) return
    const tag = writers.tagOf(sessionKey)
    if (this.#registered.has(tag)) return
    await this.#writes.command('sadd', writers.keys.totalsTags, [tag])
    this.#registered.add(tag)
  }

  async read(): Promise<StoreTotals> {
    const sum: Counts = { sessions: 0, messages: 0, bytes: 0 }
    for (const counts of (await this.readEach()).values()) add(sum, counts)
    return sum
  }

  /** The counts of each slot, by its hash tag. */
  async readEach(): Promise<Map<string, Counts>> {
    const { link, keys, refusals } = this.#writes.writers
    const found = new Map<string, Counts>()
    const nothing = (error: Error, key: string): [] => {
      refusals.refuse(error, key)
      return []
    }
    let tags = [this.#writes.writers.tagOf('')]
    if (link.isCluster) {
      const [members] = await link.askEach([keys.totalsTags], key => ['smembers', key], nothing)
      tags = (members as Buffer[]).map(String)
    }
    for (let from = 0; from < tags.length; from += slotsPerPage) {
      const page = tags.slice(from, from + slotsPerPage)
      const replies = await link.askEach(
        page.map(tag => keys.totals(tag)),
        key => ['hmget', key, totalField.sessions, totalField.messages, totalField.bytes],
        nothing,
      )
      for (const [i, tag] of page.entries()) {
        const [sessions, messages, bytes] = (replies[i] as (Buffer | null)[]).map(text => Number(String(text ?? 0)))
        found.set(tag, { sessions: sessions ?? 0, messages: messages ?? 0, bytes: bytes ?? 0 })
      }
    }
    return found
  }

  /**
   * Puts the counts right that were `before` all sessions were read and `found`: Redis itself clears away sessions that have expired while no broker ran. Where
   * something was counted meanwhile, by this node or another, they stay as they are until the next start.
   */
  async correct(before: ReadonlyMap<string, Counts>, found: ReadonlyMap<string, Counts>): Promise<void> {
    const { keys } = this.#writes.writers
    const none: Counts = { sessions: 0, messages: 0, bytes: 0 }
    for (const [tag, counts] of before) {
      const right = found.get(tag) ?? none
      const { sessions, messages, bytes } = counts
      if (sessions === right.sessions && messages === right.messages && bytes === right.bytes) continue
      const values = { sessionsBefore: sessions, messagesBefore: messages, bytesBefore: bytes, ...right }
      await this.#writes.write(keys.totals(tag), out => correct.write(out, values), nothing)
    }
  }
}

/** Adds what one session holds, or all of a slot, to a sum. */
export function add(sum: Counts, { sessions, messages, bytes }: StoreTotals): void {
  sum.sessions += sessions
  sum.messages += messages
  sum.bytes += bytes
}
