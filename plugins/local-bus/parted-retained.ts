import type { Message } from '../../core/messages/message.ts'
import type { RetainedCursor, RetainedStore } from '../kit/services/retained.ts'
import { decodeMessage, encodeMessage } from '../kit/stored-message.ts'
import { UnderWay } from '../kit/under-way.ts'
import type { PartTerms } from './part-terms.ts'
import { WorkersRetained } from './workers-retained.ts'

const perPage = 500

/**
 * Retained messages, all of them in each worker, so that a SUBSCRIBE asks nobody. One worker for each topic, by a hash of its name, says in which order its messages were set,
 * and tells the others; whoever set one has its answer when all have it.
 */
export class PartedRetained extends WorkersRetained {
  readonly #terms: Pick<PartTerms, 'self' | 'all' | 'calls' | 'homeOf'>
  // Set here, and on its way to the others.
  readonly #spreading = new UnderWay()
  readonly #walks = new Map<string, RetainedCursor[]>()
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
    if (which === 'first') this.#walks.set(from, [this.own.match('#'), this.own.match('$SYS/#')])
    const walks = this.#walks.get(from) ?? []
    while (walks.length > 0) {
      const { messages, done } = await walks[0]!.next(perPage)
      if (done) walks.shift()
      if (messages.length > 0) return messages.map(message => encodeMessage(message))
    }
    this.#walks.delete(from)
    return []
  }

  /** Reads what the others have; they tell what is set meanwhile, and that is the newer. */
  async load(others: readonly string[]): Promise<void> {
    const { calls } = this.#terms
    this.#setMeanwhile = new Set()
    await Promise.allSettled(others.map(name => calls.now(name, 'r.settled')))
    for (const name of others) {
      if (await this.#readAll(name)) break
    }
    this.#setMeanwhile = null
  }

  async #readAll(name: string): Promise<boolean> {
    try {
      let page = (await this.#terms.calls.now(name, 'r.page', 'first')) as Buffer[]
      while (page.length > 0) {
        for (const body of page) {
          const message = decodeMessage(body)
          if (!this.#setMeanwhile!.has(message.topic)) await this.own.set(message)
        }
        page = (await this.#terms.calls.now(name, 'r.page', 'next')) as Buffer[]
      }
      return true
    } catch {
      // It has died meanwhile: the next one has them, too.
      return false
    }
  }
}
