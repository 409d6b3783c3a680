import { randomBytes } from 'node:crypto'
import type { Log } from '../../core/log.ts'
import { type QueueLimits, StoreAwayError } from '../../core/sessions/session-store.ts'
import type { Clock } from '../../core/time/clock.ts'
import { messageFormat } from '../kit/stored-message.ts'
import { busVersion } from './bus-version.ts'
import type { Options } from './client-options.ts'
import type { Keys } from './keys.ts'
import { type Link, singleTag } from './link.ts'
import type { Command } from './operation.ts'
import { RedisRefusals } from './refusals.ts'
import { type CommonArguments, SlotWriter, type SlotWriterContext } from './slot-writer.ts'
import { slotOf, tagOf } from './slots.ts'
import { StoreTime } from './store-time.ts'

/** All writing to Redis: one writer, or on Redis Cluster one for each slot that is used. What waits is bounded, all writers together. */
export class SlotWriters implements SlotWriterContext {
  readonly link: Link
  readonly keys: Keys
  readonly processId: string
  readonly refusals: RedisRefusals
  readonly time: StoreTime
  readonly #options: Options
  readonly #writers = new Map<number, SlotWriter>()
  #limits: QueueLimits = { messagesMax: 100_000, bytesMax: 64 * 1024 * 1024, whenFull: 'dropNewest' }
  /** This node's name in its cluster; null: it is in none. */
  node: string | null = null
  /** The version of the bus that all nodes speak. */
  busVersion = busVersion
  /** A node of version 0.2.0 is there, to which channels of every database have one name, and which reads no messages but those of format 1. */
  oldChannels = false
  /** Told what a batch has to say to the other nodes. */
  onSaid: (kind: string, values: readonly unknown[]) => void = () => {}
  /** Looks, on a Redis Cluster, whether what was kept is still there before writes are sent again. */
  recheck: () => Promise<void> = async () => {}
  #operations = 0
  #bytes = 0

  constructor(link: Link, keys: Keys, clock: Clock, options: Options, log: Log) {
    this.link = link
    this.keys = keys
    this.time = new StoreTime(link, keys, clock, log)
    this.#options = options
    this.processId = randomBytes(9).toString('base64url')
    this.refusals = new RedisRefusals(clock, log)
  }

  /** The format of messages that all nodes read. */
  get messageFormat(): number {
    return this.oldChannels ? 1 : messageFormat
  }

  set limits(limits: QueueLimits) {
    this.#limits = limits
  }

  /** The writer that a key's writes go through. */
  of(key: string): SlotWriter {
    const slot = this.link.isCluster ? slotOf(key) : 0
    let writer = this.#writers.get(slot)
    if (writer === undefined) this.#writers.set(slot, (writer = new SlotWriter(this, this.link.isCluster ? tagOf(slot) : singleTag)))
    return writer
  }

  /** The hash tag of a key's slot; one and the same for all without Redis Cluster. */
  tagOf(key: string): string {
    return this.link.isCluster ? tagOf(slotOf(key)) : singleTag
  }

  /**
   * One command that reads for each item; those of one writer go out together. The replies are in the order of the items. Where Redis refuses one of them, because another
   * program keeps something else under that key say, it rejects; or that one's reply is `instead`, and the refusal has been counted and named.
   */
  async readEach<T>(
    items: readonly T[],
    keyOf: (item: T) => string,
    commandOf: (item: T) => Command,
    { instead }: { readonly instead?: unknown } = {},
  ): Promise<unknown[]> {
    const byWriter = new Map<SlotWriter, number[]>()
    for (const [i, item] of items.entries()) {
      const writer = this.of(keyOf(item))
      const own = byWriter.get(writer)
      if (own === undefined) byWriter.set(writer, [i])
      else own.push(i)
    }
    const replies: unknown[] = []
    await Promise.all(
      [...byWriter].map(async ([writer, own]) => {
        const answers = await writer.readEach(own.map(i => commandOf(items[i]!)))
        for (const [at, i] of own.entries()) {
          const answer = answers[at]
          if (answer instanceof Error && instead === undefined) throw answer
          replies[i] = answer instanceof Error ? instead : answer
        }
      }),
    )
    return replies
  }

  batchArguments(): CommonArguments {
    const { messagesMax, bytesMax, whenFull } = this.#limits
    const { isCluster } = this.link
    const { keys, node } = this
    return {
      time: this.time.now(),
      queueMessagesMax: messagesMax,
      queueBytesMax: bytesMax,
      dropsOldest: whenFull === 'dropOldest' ? 1 : 0,
      bodies: isCluster ? '' : keys.bodyPrefix,
      noting: node === null ? '' : isCluster ? 'rows' : 'here',
      node: node ?? '',
      log: node === null ? '' : keys.log,
      channels: node === null ? '' : keys.channelPrefix(this.oldChannels),
      busVersion: this.busVersion,
    }
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
    for (const writer of this.#writers.values()) writer.resume()
  }

  interrupted(error: Error): void {
    for (const writer of this.#writers.values()) writer.interrupted(error)
  }

  async whenIdle(): Promise<void> {
    await Promise.all([...this.#writers.values()].map(writer => writer.whenIdle()))
  }

  stop(): void {
    for (const writer of this.#writers.values()) writer.stop()
    this.refusals.stop()
  }
}
