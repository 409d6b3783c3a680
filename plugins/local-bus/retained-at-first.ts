import type { Message } from '../../core/messages/message.ts'
import type { Parts } from '../kit/services/parts.ts'
import { decodeMessage, encodeMessage } from '../kit/stored-message.ts'
import type { PartTerms } from './part-terms.ts'
import { WorkersRetained } from './workers-retained.ts'

/** Retained messages that the first worker keeps where all can read them: a SUBSCRIBE asks nobody, and whoever sets one has its answer when it lies there. */
export class RetainedAtFirst extends WorkersRetained {
  readonly #terms: Pick<PartTerms, 'self' | 'all' | 'calls'>

  constructor(own: Parameters<Parts['retainedAtFirst']>[0], terms: Pick<PartTerms, 'self' | 'all' | 'calls'>) {
    super(own)
    this.#terms = terms
    const { all, self, calls } = terms
    if (all[0] !== self) own.onExpired = topics => calls.ask(all[0]!, 'r.expired', topics) as Promise<void>
  }

  set(message: Message): Promise<void> {
    const { all, self, calls } = this.#terms
    const [first] = all as [string]
    const done = first === self ? Promise.resolve(this.own.set(message)) : calls.ask(first, 'r.set', encodeMessage(message))
    return this.unkept.add(done as Promise<void>)
  }

  /** Another worker sets one, or has found some that have expired. */
  asked(_from: string, verb: string, [given]: readonly never[]): unknown {
    return verb === 'r.set' ? this.own.set(decodeMessage(given!)) : this.#look(given!)
  }

  // Whoever keeps them takes out what has expired when it comes across it.
  async #look(topics: readonly string[]): Promise<void> {
    for (const topic of topics) await this.own.match(topic).next(1)
    // Whatever is matched next waits until that is kept.
    if (topics.length > 0) await this.own.match(topics[0]!).next(1)
  }
}
