import type { Message } from '../../core/messages/message.ts'
import type { Parts } from '../kit/services/parts.ts'
import type { RetainedCursor, RetainedStore } from '../kit/services/retained.ts'
import { decodeMessage, encodeMessage } from '../kit/stored-message.ts'
import { UnderWay } from '../kit/under-way.ts'
import type { PartTerms } from './parted-sessions.ts'

/** Retained messages that the first worker keeps where all can read them: a SUBSCRIBE asks nobody, and whoever sets one has its answer when it lies there. */
export class RetainedAtFirst implements RetainedStore {
  readonly #own: RetainedStore
  readonly #terms: Pick<PartTerms, 'self' | 'all' | 'calls'>
  readonly #unkept = new UnderWay()

  constructor(own: Parameters<Parts['retainedAtFirst']>[0], terms: Pick<PartTerms, 'self' | 'all' | 'calls'>) {
    this.#own = own
    this.#terms = terms
    const { all, self, calls } = terms
    if (all[0] !== self) own.onExpired = topics => calls.ask(all[0]!, 'r.expired', topics) as Promise<void>
  }

  get size(): number {
    return this.#own.size
  }

  get bytes(): number {
    return this.#own.bytes ?? 0
  }

  has(topic: string): boolean {
    return this.#own.has!(topic)
  }

  match(filter: string): RetainedCursor {
    return this.#own.match(filter)
  }

  set(message: Message): Promise<void> {
    const { all, self, calls } = this.#terms
    const [first] = all as [string]
    const done = first === self ? Promise.resolve(this.#own.set(message)) : calls.ask(first, 'r.set', encodeMessage(message))
    return this.#unkept.add(done as Promise<void>)
  }

  settle(): Promise<boolean> | undefined {
    return this.#unkept.size === 0 ? undefined : this.#unkept.through().then(() => false)
  }

  /** Another worker sets one, or has found some that have expired. */
  asked(_from: string, verb: string, [given]: readonly never[]): unknown {
    return verb === 'r.set' ? this.#own.set(decodeMessage(given!)) : this.#look(given!)
  }

  // Whoever keeps them takes out what has expired when it comes across it.
  async #look(topics: readonly string[]): Promise<void> {
    for (const topic of topics) await this.#own.match(topic).next(1)
    // Whatever is matched next waits until that is kept.
    if (topics.length > 0) await this.#own.match(topics[0]!).next(1)
  }
}
