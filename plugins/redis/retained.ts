import type { Log } from '../../core/log.ts'
import type { Message } from '../../core/messages/message.ts'
import { queuedBytes } from '../../core/sessions/queue-policy.ts'
import type { Clock } from '../../core/time/clock.ts'
import { RetainedTree } from '../kit/retained-tree.ts'
import type { RetainedCursor, RetainedPage, RetainedStore } from '../kit/services/retained.ts'
import { decodeMessage, encodeMessage } from '../kit/stored-message.ts'
import { UnderWay } from '../kit/under-way.ts'
import { leftoverMs } from './script/layout.ts'
import type { Writes } from './writes.ts'

const scanCount = 1000
// What Redis itself forgets stays longer than its time: the broker decides, by the store's time, and Redis' own clock may be set.
const graceMs = leftoverMs
// Brokers' clocks may differ by so much.
const clocksMs = 5000

const refused = Symbol('refused')

/** The `retained` service on Redis: one key for each topic. Topic names are kept in memory, so that a filter looks at what can match it only. */
export class RedisRetained implements RetainedStore {
  readonly #writes: Writes
  readonly #clock: Clock
  readonly #log: Log
  readonly #topics = new RetainedTree<true>()
  #loading: Promise<void> | null = null
  #isLoaded = false
  #waiting: (() => void)[] = []
  /** Topics that other nodes may not know of yet. */
  readonly #first = new Set<string>()
  /** How many messages of a topic are on their way to Redis. */
  readonly #onItsWay = new Map<string, number>()
  readonly #unkept = new UnderWay()
  /** Topics that were set while a page was being read, for each page. */
  readonly #reads = new Set<Set<string>>()
  // Other nodes have been told of a topic since somebody asked.
  #told = false
  /** Told of each topic that has its first retained message, or its last, as it is kept: the other nodes have to know. */
  onTopic: ((topic: string, isThere: boolean) => Promise<void>) | null = null

  constructor(writes: Writes, clock: Clock, log: Log) {
    this.#writes = writes
    this.#clock = clock
    this.#log = log
  }

  get size(): number {
    return this.#topics.size
  }

  has(topic: string): boolean {
    return this.#topics.get(topic) !== undefined
  }

  /** Reads which topics have a retained message. */
  load(): Promise<void> {
    if (this.#isLoaded) return Promise.resolve()
    this.#loading ??= this.#load().finally(() => {
      this.#loading = null
    })
    return this.#loading
  }

  async #load(): Promise<void> {
    const { link, keys } = this.#writes.writers
    for (const master of link.masters()) {
      let cursor = '0'
      do {
        const [page] = await link.ask(master, [['scan', cursor, 'match', keys.retainedPattern, 'count', scanCount]])
        if (page instanceof Error) {
          this.#log.debug({ err: page }, 'redis went away while the retained topics were read')
          return
        }
        const [next, names] = page as [Buffer, Buffer[]]
        cursor = next.toString()
        for (const name of names) this.#topics.set(keys.topicOf(name.toString()), true)
      } while (cursor !== '0')
    }
    this.#isLoaded = true
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  set(message: Message): Promise<void> {
    return this.#unkept.add(this.#set(message))
  }

  settle(): Promise<boolean> | undefined {
    if (this.#unkept.size === 0 && !this.#told) return undefined
    return this.#unkept.through().then(() => {
      const told = this.#told
      this.#told = false
      return told
    })
  }

  #tell(topic: string, isThere: boolean): Promise<void> | undefined {
    if (this.onTopic === null) return undefined
    this.#told = true
    return this.onTopic(topic, isThere)
  }

  async #set(message: Message): Promise<void> {
    const { topic } = message
    const { keys, time, messageFormat } = this.#writes.writers
    const key = keys.retained(topic)
    if (message.payloadLength === 0) {
      await this.#writes.command('del', key, []) // [MQTT-3.3.1-6]
      const known = this.#topics.get(topic) !== undefined
      this.#topics.delete(topic)
      if (known) await this.#tell(topic, false)
      return
    }
    const life = message.expiresAt - this.#clock.now()
    const expiry = Number.isFinite(life) ? ['PX', Math.ceil(Math.max(1, life)) + graceMs] : []
    const isFirst = this.#topics.get(topic) === undefined || this.#first.has(topic)
    if (isFirst) this.#first.add(topic)
    this.#onItsWay.set(topic, (this.#onItsWay.get(topic) ?? 0) + 1)
    // Whoever subscribes from now on reads it, behind this write; who has subscribed gets the message itself.
    this.#topics.set(topic, true)
    // One that has expired meanwhile may be known here, and at the other nodes no more.
    const lives = isFirst || this.onTopic === null ? null : this.#writes.command('pttl', key, [], { refusable: true })
    try {
      const set = this.#writes.command('set', key, [encodeMessage(message, 0, false, time.shift, messageFormat), ...expiry], {
        refusable: true,
        bytes: queuedBytes(message),
      })
      const [left] = await Promise.all([lives, set])
      this.#isThere(topic)
      if (isFirst || hasExpired(left)) await this.#tell(topic, true)
    } catch (error) {
      if (this.#first.has(topic)) this.#topics.delete(topic)
      throw error
    } finally {
      this.#first.delete(topic)
      const left = this.#onItsWay.get(topic)! - 1
      if (left === 0) this.#onItsWay.delete(topic)
      else this.#onItsWay.set(topic, left)
    }
  }

  #isThere(topic: string): void {
    this.#topics.set(topic, true)
    for (const set of this.#reads) set.add(topic)
  }

  /** Another node has done that. */
  noted(topic: string, isThere: boolean): void {
    if (isThere) this.#isThere(topic)
    else this.#topics.delete(topic)
  }

  /** Other nodes' doings may have been missed. What is not there any more is found out when it is asked for. */
  async reload(): Promise<void> {
    this.#isLoaded = false
    await this.load()
  }

  /** What was kept is gone, as far as `isGone` says so of a key; returns how many messages that were. */
  emptied(isGone: (key: string) => boolean): number {
    const { keys } = this.#writes.writers
    const before = this.#topics.size
    for (const filter of ['#', '$SYS/#']) {
      const walk = this.#topics.iterate(filter)
      for (;;) {
        const { entries, done } = walk.next(1000)
        for (const [topic] of entries) if (isGone(keys.retained(topic))) this.#topics.delete(topic)
        if (done) break
      }
    }
    return before - this.#topics.size
  }

  match(filter: string): RetainedCursor {
    const iterator = this.#topics.iterate(filter)
    return {
      next: async (limit): Promise<RetainedPage> => {
        if (!this.#isLoaded) await new Promise<void>(resolve => this.#waiting.push(resolve))
        const { entries, done } = iterator.next(limit)
        const topics = entries.map(([topic]) => topic)
        return { messages: topics.length === 0 ? [] : await this.#read(topics), done }
      },
    }
  }

  async #read(topics: readonly string[]): Promise<Message[]> {
    const { writers } = this.#writes
    const { keys } = writers
    const setMeanwhile = new Set<string>()
    this.#reads.add(setMeanwhile)
    const replies = await writers
      .readEach(
        topics,
        topic => keys.retained(topic),
        topic => ['get', keys.retained(topic)],
        // It stays among the topics: what lies there is somebody else's, and may go again.
        { instead: refused },
      )
      .finally(() => this.#reads.delete(setMeanwhile))
    const now = this.#clock.now()
    const messages: Message[] = []
    for (const [i, topic] of topics.entries()) {
      if (replies[i] === refused) continue
      const message = this.#decode(replies[i], topic)
      if (message !== null && message.expiresAt > now) messages.push(message)
      else if (!setMeanwhile.has(topic) && !this.#onItsWay.has(topic)) this.#topics.delete(topic)
    }
    return messages
  }

  #decode(reply: unknown, topic: string): Message | null {
    if (!Buffer.isBuffer(reply)) return null
    try {
      return decodeMessage(reply, undefined, this.#writes.writers.time.shift)
    } catch (error) {
      this.#writes.writers.refusals.unreadable(error as Error, this.#writes.writers.keys.retained(topic))
      return null
    }
  }
}

/** By what PTTL says: it is not there (-2), or was about to go by its time, as some broker's clock may have it. A message without expiry has -1. */
function hasExpired(left: unknown): boolean {
  return left === -2 || (typeof left === 'number' && left >= 0 && left <= graceMs + clocksMs)
}
