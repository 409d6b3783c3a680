import { matches } from '../../core/routing/topic.ts'

const rememberedMax = 10_000

/**
 * Rules with topic filters, found by topic name, or what is made of each rule for a topic name. Each name is looked up once; where clients make up too
 * many, all are forgotten.
 */
export class ByTopic<Rule extends TopicRule, Found = Rule> {
  readonly #rules: readonly Rule[]
  readonly #make: ((rule: Rule, topic: string) => Found) | null
  readonly #known: Map<string, readonly Found[]>

  constructor(rules: readonly Rule[], ...[make]: Rule extends Found ? [make?: undefined] : [make: (rule: Rule, topic: string) => Found]) {
    this.#rules = rules
    this.#make = make ?? null
    this.#known = new Map()
  }

  /** What matches a topic name, in the order of the rules. */
  of(topic: string): readonly Found[] {
    let found = this.#known.get(topic)
    if (found === undefined) {
      const make = this.#make
      const rules = this.#rules.filter(({ filter }) => matches(filter, topic))
      found = make === null ? (rules as never) : rules.map(rule => make(rule, topic))
      if (this.#known.size >= rememberedMax) this.#known.clear()
      this.#known.set(topic, found)
    }
    return found
  }
}

/** A rule on the messages of some topic names. */
export interface TopicRule {
  /** Matches the topic names that the rule is for. */
  readonly filter: string
}
