import type { Log } from '../../core/log.ts'
import { BoundedCache, textBytes } from '../kit/bounded-cache.ts'
import { ByTopic } from '../kit/by-topic.ts'
import type { BridgeTarget } from '../kit/services/bridge-target.ts'
import type { Rule } from './rules.ts'

/** Where messages of one topic name go by one rule. `topic`: null where the template holds the client id, so that it is another for each. */
export interface BridgeRoute {
  readonly rule: Rule
  readonly topic: string | null
}

// A name is stored behind its length, of two bytes.
const nameMax = 16_000
// Of names there that are remembered, with what they were made of; and of those that a line has said are two at once.
const sourcesMax = 8_388_608
const saidMax = 1_048_576
const routeBytes = 64

/** Finds where messages of a topic name go; each topic name is looked up once. */
export class BridgeRoutes {
  readonly #targets: ReadonlyMap<string, BridgeTarget>
  readonly #log: Log
  readonly #byTopic: ByTopic<Rule, BridgeRoute>
  // What each name there was made of, so that two that fall together are seen; and those that it was said of.
  readonly #sources: BoundedCache<string>
  readonly #said: BoundedCache<true>

  constructor(rules: readonly Rule[], targets: ReadonlyMap<string, BridgeTarget>, log: Log) {
    this.#targets = targets
    this.#log = log
    this.#byTopic = new ByTopic<Rule, BridgeRoute>(
      rules,
      (rule, topic) => ({ rule, topic: rule.to.byClient ? null : this.name(rule, topic, '') }),
      ({ topic }) => routeBytes + textBytes(topic ?? ''),
    )
    this.#sources = new BoundedCache(sourcesMax, textBytes)
    this.#said = new BoundedCache(saidMax, () => 0)
  }

  /** Bytes that what is known of topic names keeps. */
  get bytes(): number {
    return this.#byTopic.bytes + this.#sources.bytes + this.#said.bytes
  }

  /** Forgets what is known of topic names. */
  clear(): void {
    this.#byTopic.clear()
    this.#sources.clear()
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
      this.#sources.set(place, wanted)
    } else if (source !== wanted && this.#said.get(place) === undefined) {
      this.#said.set(place, true)
      this.#log.warn(
        { target, topic: name },
        `messageBridge: ${JSON.stringify(source)} and ${JSON.stringify(wanted)} both go to ${name}; a rule with another "to" tells them apart`,
      )
    }
  }
}
