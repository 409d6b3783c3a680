import type { Message } from '../../core/messages/message.ts'
import type { RetainedCursor, RetainedStore } from '../kit/services/retained.ts'
import { decodeMessage, encodeMessage } from '../kit/stored-message.ts'
import { UnderWay } from '../kit/under-way.ts'
import type { PartTerms } from './part-terms.ts'
import { WorkersRetained } from './workers-retained.ts'

const perPage = 500

/** What another worker reads here, a page at a time: all, or the topics of which it says the order. */
interface Walk {
  readonly cursors: RetainedCursor[]
  readonly isOwn: boolean
}

/**
 * Retained messages, all of them in each worker, so that a SUBSCRIBE asks nobody. One worker for each topic, by a hash of its name, says in which order its messages were set,
 * and tells the others; whoever set one has its answer when all have it.
 */
export class PartedRetained extends WorkersRetained {
  readonly #terms: Pick<PartTerms, 'self' | 'all' | 'calls' | 'homeOf'>
  // Set here, and on its way to the others.
  readonly #spreading = new UnderWay()
  readonly #walks = new Map<string, Walk>()
  /** Topics that were set while this worker was reading what others have; null: it is not. */
  #setMeanwhile: Set<string> | null = null

  constructor(own: RetainedStore, terms: Pick<PartTerms, 'self' | 'all' | 'calls' | 'homeOf'>) {
    super(own)
    this.#terms = terms
  }

  set(message: Message): Promise<void> {
    const { homeOf, self, calls } = this.#terms
    const home = homeOf(message.topic)
    const body = encodeMessage(message)
    return this.unkept.add(home === self ? this.#setHere(message, body) : (calls.ask(home, 'r.set', body) as Promise<void>))
  }

  #setHere(message: Message, body: Buffer): Promise<void> {
    return this.#spreading.add(this.#spread(message, body))
  }

  async #spread(message: Message, body: Buffer): Promise<void> {
    const { all, self, calls } = this.#terms
    await this.own.set(message)
    this.#setMeanwhile?.add(message.topic)
    // A worker that is not there reads all when it comes.
    await Promise.allSettled(all.filter(name => name !== self).map(name => calls.now(name, 'r.copy', body)))
  }

  /** Another worker asks. */
  asked(from: string, verb: string, args: readonly never[]): unknown {
    const body: Buffer = args[0]!
    switch (verb) {
      case 'r.set':
        return this.#setHere(decodeMessage(body), body)
      case 'r.copy': {
        const message = decodeMessage(body)
        this.#setMeanwhile?.add(message.topic)
        return this.own.set(message)
      }
      case 'r.settled':
        // Not what this worker has asked others for: one of them may be the one that asks, and has yet to begin.
        return this.#spreading.through()
      default:
        return this.#page(from, args[0]!)
    }
  }

  async #page(from: string, which: string): Promise<readonly Buffer[]> {
    if (which !== 'next') this.#walks.set(from, { cursors: this.#all(), isOwn: which === 'firstOwn' })
    const { cursors, isOwn } = this.#walks.get(from) ?? { cursors: [], isOwn: false }
    while (cursors.length > 0) {
      const { messages, done } = await cursors[0]!.next(perPage)
      if (done) cursors.shift()
      const wanted = isOwn ? messages.filter(({ topic }) => this.#terms.homeOf(topic) === from) : messages
      if (wanted.length > 0) return wanted.map(message => encodeMessage(message))
    }
    this.#walks.delete(from)
    return []
  }

  #all(): RetainedCursor[] {
    return [this.own.match('#'), this.own.match('$SYS/#')]
  }

  /** Reads what the others have; they tell what is set meanwhile, and that is the newer. */
  async load(others: readonly string[]): Promise<void> {
    const { calls } = this.#terms
    this.#setMeanwhile = new Set()
    await Promise.allSettled(others.map(name => calls.now(name, 'r.settled')))
    const left = [...others]
    while (left.length > 0) {
      if (await this.#readAll(left.shift()!)) break
    }
    const uneven = new Map<string, Message>()
    for (const name of left) {
      for (const message of await this.#differences(name))
        if ((uneven.get(message.topic)?.receivedAt ?? 0) < message.receivedAt) uneven.set(message.topic, message)
    }
    for (const message of uneven.values()) await this.#spread(message, encodeMessage(message))
    this.#setMeanwhile = null
  }

  async #readAll(name: string): Promise<boolean> {
    const take = async (message: Message): Promise<void> => {
      if (!this.#setMeanwhile!.has(message.topic)) await this.own.set(message)
    }
    try {
      for await (const message of this.#read(name, 'first')) await take(message)
      return true
    } catch {
      // It has died meanwhile: the next one has them, too.
      return false
    }
  }

  async *#read(name: string, which: 'first' | 'firstOwn'): AsyncIterable<Message> {
    let page = (await this.#terms.calls.now(name, 'r.page', which)) as Buffer[]
    while (page.length > 0) {
      for (const body of page) yield decodeMessage(body)
      page = (await this.#terms.calls.now(name, 'r.page', 'next')) as Buffer[]
    }
  }

  /**
   * An earlier run of this worker may have died while it told the others of a message, which some have then and some have not, and nobody was told that it is kept. Of the
   * topics of which this worker says the order: the messages that another one has not, or that only it has, the newer of two.
   */
  async #differences(name: string): Promise<Message[]> {
    const { homeOf, self } = this.#terms
    const theirs = new Map<string, Message>()
    try {
      for await (const message of this.#read(name, 'firstOwn')) theirs.set(message.topic, message)
    } catch {
      // It has died meanwhile, and reads all when it comes again.
      return []
    }
    const found: Message[] = []
    for (const cursor of this.#all()) {
      for (let isDone = false; !isDone; ) {
        const { messages, done } = await cursor.next(perPage)
        isDone = done
        for (const message of messages) {
          if (homeOf(message.topic) !== self) continue
          const other = theirs.get(message.topic)
          theirs.delete(message.topic)
          if (other === undefined || other.receivedAt < message.receivedAt) found.push(message)
          else if (other.receivedAt > message.receivedAt) found.push(other)
        }
      }
    }
    return [...found, ...theirs.values()]
  }
}
