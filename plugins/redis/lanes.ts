import { randomBytes } from 'node:crypto'
import { type QueueLimits, StoreAwayError } from '../../core/sessions/session-store.ts'
import type { Clock } from '../../core/time/clock.ts'
import type { Options } from './client-options.ts'
import type { Keys } from './keys.ts'
import { Lane, type LaneContext } from './lane.ts'
import type { Link } from './link.ts'
import type { Command } from './operation.ts'
import { slotOf, tagOf } from './slots.ts'

/** All writing to Redis: one lane, or on Redis Cluster one for each slot that is used. Bounded, all lanes together. */
export class Lanes implements LaneContext {
  readonly link: Link
  readonly keys: Keys
  readonly writer: string
  readonly #clock: Clock
  readonly #options: Options
  readonly #lanes = new Map<number, Lane>()
  #limits: QueueLimits = { messagesMax: 100_000, bytesMax: 64 * 1024 * 1024, whenFull: 'dropNewest' }
  /** This node's name in its cluster; null: it is in none. */
  node: string | null = null
  /** Told what a batch has to say to the other nodes. */
  onSaid: (kind: string, values: readonly unknown[]) => void = () => {}
  #operations = 0
  #bytes = 0

  constructor(link: Link, keys: Keys, clock: Clock, options: Options) {
    this.link = link
    this.keys = keys
    this.#clock = clock
    this.#options = options
    this.writer = randomBytes(9).toString('base64url')
  }

  set limits(limits: QueueLimits) {
    this.#limits = limits
  }

  /** The lane that a key's writes go through. */
  of(key: string): Lane {
    const slot = this.link.isCluster ? slotOf(key) : 0
    let lane = this.#lanes.get(slot)
    if (lane === undefined) this.#lanes.set(slot, (lane = new Lane(this, this.link.isCluster ? tagOf(slot) : 'all')))
    return lane
  }

  /** One command that reads for each, all of one lane together; the replies in order. */
  async readEach<T>(items: readonly T[], keyOf: (item: T) => string, commandOf: (item: T) => Command): Promise<unknown[]> {
    const byLane = new Map<Lane, number[]>()
    for (const [i, item] of items.entries()) {
      const lane = this.of(keyOf(item))
      const own = byLane.get(lane)
      if (own === undefined) byLane.set(lane, [i])
      else own.push(i)
    }
    const replies: unknown[] = []
    await Promise.all(
      [...byLane].map(async ([lane, own]) => {
        const answers = await lane.read(own.map(i => commandOf(items[i]!)))
        for (const [at, i] of own.entries()) replies[i] = answers[at]
      }),
    )
    return replies
  }

  batchArguments(): readonly (string | number)[] {
    const { messagesMax, bytesMax, whenFull } = this.#limits
    return [this.#clock.now(), messagesMax, bytesMax, whenFull === 'dropOldest' ? 1 : 0, this.link.isCluster ? '' : this.keys.bodyPrefix]
  }

  clusterArguments(): readonly string[] {
    if (this.node === null) return ['', '', '', '']
    return [this.link.isCluster ? 'rows' : 'here', this.node, this.keys.log, this.keys.wirePrefix]
  }

  said(kind: string, values: readonly unknown[]): void {
    this.onSaid(kind, values)
  }

  /** Takes one more write among those that wait, or says why not. */
  admit(bytes: number): StoreAwayError | null {
    if (this.#operations >= this.#options.pendingMax || this.#bytes + bytes > this.#options.pendingBytesMax) {
      this.link.refused += 1
      return new StoreAwayError('too many writes wait for Redis; see redis.pendingMax and redis.pendingBytesMax')
    }
    this.took(bytes)
    return null
  }

  /** Counts a write that may not be refused. */
  took(bytes: number): void {
    this.#operations += 1
    this.#bytes += bytes
  }

  settled(operations: number, bytes: number): void {
    this.#operations -= operations
    this.#bytes -= bytes
  }

  /** Writes that wait or are under way, and their bytes. */
  get pending(): { readonly operations: number; readonly bytes: number } {
    return { operations: this.#operations, bytes: this.#bytes }
  }

  resume(): void {
    for (const lane of this.#lanes.values()) lane.resume()
  }

  interrupted(error: Error): void {
    for (const lane of this.#lanes.values()) lane.interrupted(error)
  }

  async whenIdle(): Promise<void> {
    await Promise.all([...this.#lanes.values()].map(lane => lane.whenIdle()))
  }

  stop(): void {
    for (const lane of this.#lanes.values()) lane.stop()
  }
}
