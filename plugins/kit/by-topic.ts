import { matches } from '../../core/routing/topic.ts'

const rememberedMax = 10_000

/** Rules with topic filters, found by topic name. Each name is looked up once; where clients make up too many, all are forgotten. */
export class ByTopic<Rule extends { readonly filter: string }> {
  readonly #rules: readonly Rule[]
  readonly #known: Map<string, readonly Rule[]>

  constructor(rules: readonly Rule[]) {
    this.#rules = rules
    this.#known = new Map()
  }

  /** Those that match, in their order. */
  of(topic: string): readonly Rule[] {
    let found = this.#known.get(topic)
    if (found === undefined) {
      found = this.#rules.filter(({ filter }) => matches(filter, topic))
      if (this.#known.size >= rememberedMax) this.#known.clear()
      this.#known.set(topic, found)
    }
    return found
  }
}
