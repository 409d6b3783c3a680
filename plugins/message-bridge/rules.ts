import { OperatorError } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'
import type { OptionsOf } from '../../core/options/options.ts'
import { matches } from '../../core/routing/topic.ts'
import type { BridgeTarget } from '../kit/services/bridge-target.ts'
import { TopicTemplate } from '../kit/topic-template.ts'
import { ruleFilterFault } from '../kit/topics.ts'
import type { messageBridgeManifest } from './manifest.ts'

export type BridgeOptions = OptionsOf<typeof messageBridgeManifest.options>
export type AckMode = 'none' | 'local' | 'kafka'

/** One rule, read and checked. */
export interface Rule {
  /** Where it stands in the config: `messageBridge.topics[2]`. */
  readonly at: string
  readonly filter: string
  readonly to: TopicTemplate
  readonly key: TopicTemplate
  readonly json: boolean
  readonly headers: boolean
  readonly ack: AckMode
  readonly target: string
}

/** Where messages of one topic name go by one rule. `topic`: null where the template holds the client id, so that it is another for each. */
export interface Way {
  readonly rule: Rule
  readonly topic: string | null
}

// Names that are remembered; beyond it they are forgotten and found anew, as a client that makes up topic names would have it.
const rememberedMax = 10_000

/** Reads the rules; every one that is wrong is said at once. `ack`: of those that do not say. */
export function readRules(topics: BridgeOptions['topics'], ack: AckMode): Rule[] {
  const problems: string[] = []
  const rules = topics.map((given, index): Rule | null => {
    const at = `messageBridge.topics[${index}]`
    // Defaults within alternatives are not filled in by the check.
    const rule = { ...plainRule, ...(typeof given === 'string' ? { filter: given } : given) }
    const wrongFilter = ruleFilterFault(rule.filter)
    if (wrongFilter !== null) {
      problems.push(`${at}: ${wrongFilter}`)
      return null
    }
    const template = (name: 'to' | 'key'): TopicTemplate | null => {
      try {
        return TopicTemplate.parse(rule[name], rule.filter)
      } catch (error) {
        problems.push(`${at}.${name}: ${(error as Error).message}`)
        return null
      }
    }
    const [to, key] = [template('to'), template('key')]
    if (to === null || key === null) return null
    const { filter, headers, target } = rule
    return { at, filter, to, key, json: rule.value === 'json', headers, ack: rule.ack ?? ack, target }
  })
  if (problems.length > 0) throw new OperatorError('ERR_CONFIG', problems)
  return rules as Rule[]
}

const plainRule = { to: '{topic}', key: '{clientId}', value: 'raw', headers: true, target: 'kafka', ack: undefined } as const

/** Refuses a rule that can never come to a name which its system takes. All systems that rules name are there. */
export function checkNames(rules: readonly Rule[], targets: ReadonlyMap<string, BridgeTarget>): void {
  const problems = rules.flatMap(({ at, to, target }) => {
    const system = targets.get(target)!
    const wrong = to.texts.find(text => system.legalName(`x${text}x`) !== `x${text}x`)
    if (wrong !== undefined)
      return [`${at}.to: ${target} takes no name with ${JSON.stringify(wrong)} in it; write it with letters, digits, . _ and -`]
    if (!to.fixed) return []
    const name = to.fill('', '')
    return system.legalName(name) === name ? [] : [`${at}.to: ${JSON.stringify(name)} is no name that ${target} takes; choose another`]
  })
  if (problems.length > 0) throw new OperatorError('ERR_CONFIG', problems)
}

/** Finds the ways that messages of a topic name go; each topic name is looked up once. */
export class Ways {
  readonly #rules: readonly Rule[]
  readonly #targets: ReadonlyMap<string, BridgeTarget>
  readonly #log: Log
  readonly #known: Map<string, readonly Way[]>
  // What each name there was made of, so that two that fall together are seen; and those that it was said of.
  readonly #sources: Map<string, string>
  readonly #said: Set<string>

  constructor(rules: readonly Rule[], targets: ReadonlyMap<string, BridgeTarget>, log: Log) {
    this.#rules = rules
    this.#targets = targets
    this.#log = log
    this.#known = new Map()
    this.#sources = new Map()
    this.#said = new Set()
  }

  of(topic: string): readonly Way[] {
    const known = this.#known.get(topic)
    if (known !== undefined) return known
    if (this.#known.size >= rememberedMax) this.#known.clear()
    const ways: Way[] = []
    for (const rule of this.#rules) {
      if (!matches(rule.filter, topic)) continue
      ways.push({ rule, topic: rule.to.byClient ? null : this.name(rule, topic, '') })
    }
    this.#known.set(topic, ways)
    return ways
  }

  /** The name there for a rule and a message; empty where none can be made. */
  name({ to, target }: Rule, topic: string, clientId: string): string {
    const wanted = to.fill(topic, clientId)
    const name = this.#targets.get(target)!.legalName(wanted) ?? ''
    if (name !== '' && !to.fixed) this.#watch(target, name, wanted)
    return name
  }

  #watch(target: string, name: string, wanted: string): void {
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
