import { matches } from '../../core/routing/topic.ts'
import { BoundedCache } from './bounded-cache.ts'

// Some 40,000 topic names of 60 characters.
const bytesMax = 16_777_216
const listBytes = 32

/**
 * Rules with topic filters, found by topic name, or what is made of each rule for a topic name. Each name is looked up once; those that nobody has asked for
 * lately are forgotten where there are more than 16 MiB of them. Whoever makes one adds it to the broker's caches: see `addCache`.
 */
export class ByTopic<Rule extends TopicRule, Found = Rule> {
  readonly #rules: readonly Rule[]
  readonly #make: ((rule: Rule, topic: string) => Found) | null
  readonly #known: BoundedCache<readonly Found[]>

  /** `make`: what is made of a rule for a topic name; `bytesOf`: what that keeps in memory. */
  constructor(
    rules: readonly Rule[],
    ...[make, bytesOf]: Rule extends Found
      ? [make?: undefined, bytesOf?: undefined]
      : [make: (rule: Rule, topic: string) => Found, bytesOf: (found: Found) => number]
  ) {
    this.#rules = rules
    this.#make = make ?? null
    this.#known = new BoundedCache(bytesMax, found => {
      let bytes = listBytes + found.length * 8
      if (bytesOf !== undefined) for (const one of found) bytes += bytesOf(one)
      return bytes
    })
  }

  /** Bytes that what is known of topic names keeps, roughly. */
  get bytes(): number {
    return this.#known.bytes
  }

  /** Forgets what is known of topic names; the rules stay. */
  clear(): void {
    this.#known.clear()
  }

  /** What matches a topic name, in the order of the rules. */
  of(topic: string): readonly Found[] {
    let found = this.#known.get(topic)
    if (found === undefined) {
      const make = this.#make
      const rules = this.#rules.filter(({ filter }) => matches(filter, topic))
      found = make === null ? (rules as never) : rules.map(rule => make(rule, topic))
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
