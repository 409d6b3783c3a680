import type { Log } from '../../core/log.ts'
import { ByTopic } from '../kit/by-topic.ts'
import type { BridgeTarget } from '../kit/services/bridge-target.ts'
import type { Rule } from './rules.ts'

/** Where messages of one topic name go by one rule. `topic`: null where the template holds the client id, so that it is another for each. */
export interface BridgeRoute {
  readonly rule: Rule
  readonly topic: string | null
}

// Names that are remembered; beyond it they are forgotten, as a client that makes up topic names would have it.
const rememberedMax = 10_000
// A name is stored behind its length, of two bytes.
const nameMax = 16_000

/** Finds where messages of a topic name go; each topic name is looked up once. */
export class BridgeRoutes {
  readonly #targets: ReadonlyMap<string, BridgeTarget>
  readonly #log: Log
  readonly #byTopic: ByTopic<Rule, BridgeRoute>
  // What each name there was made of, so that two that fall together are seen; and those that it was said of.
  readonly #sources: Map<string, string>
  readonly #said: Set<string>

  constructor(rules: readonly Rule[], targets: ReadonlyMap<string, BridgeTarget>, log: Log) {
    this.#targets = targets
    this.#log = log
    this.#byTopic = new ByTopic<Rule, BridgeRoute>(rules, (rule, topic) => ({
      rule,
      topic: rule.to.byClient ? null : this.name(rule, topic, ''),
    }))
    this.#sources = new Map()
    this.#said = new Set()
  }

  of(topic: string): readonly BridgeRoute[] {
    return this.#byTopic.of(topic)
  }

  /** The name there for a rule and a message; empty where none can be made, or where a client's words make one that begins with `_`. */
  name({ to, target, internal }: Rule, topic: string, clientId: string): string {
    const wanted = to.fill(topic, clientId)
    let name: string
    try {
      name = this.#targets.get(target)!.legalName(wanted) ?? ''
    } catch {
      // A name that its system's own plugin cannot make is none.
      return ''
    }
    if (name.length > nameMax) return ''
    if (name.startsWith('_') && !internal) return ''
    if (name !== '' && !to.fixed) this.#noteSource(target, name, wanted)
    return name
  }

  #noteSource(target: string, name: string, wanted: string): void {
    const place = `${target} ${name}`
    const source = this.#sources.get(place)
    if (source === undefined) {
      if (this.#sources.size >= rememberedMax) this.#sources.clear()
      this.#sources.set(place, wanted)
    } else if (source !== wanted && this.#said.size < rememberedMax && !this.#said.has(place)) {
      this.#said.add(place)
      this.#log.warn(
        { target, topic: name },
        `messageBridge: ${JSON.stringify(source)} and ${JSON.stringify(wanted)} both go to ${name}; a rule with another "to" tells them apart`,
      )
    }
  }
}
