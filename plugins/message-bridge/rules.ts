import { OperatorError } from '../../core/errors.ts'
import type { OptionsOf } from '../../core/options/options.ts'
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
  /** The rule itself says that its names begin with `_`: in `to`, or in a filter whose first level stands at the beginning of the name. */
  readonly internal: boolean
}

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
    return {
      at,
      filter,
      to,
      key,
      json: rule.value === 'json',
      headers,
      ack: rule.ack ?? ack,
      target,
      internal: isInternal(rule.to, filter),
    }
  })
  if (problems.length > 0) throw new OperatorError('ERR_CONFIG', problems)
  return rules as Rule[]
}

// `_schemas`, `__consumer_offsets`: what a system keeps there is its own, unless the operator has written the name.
function isInternal(to: string, filter: string): boolean {
  return to.startsWith('_') || (filter.startsWith('_') && /^\{topic(\[0\])?\}/.test(to))
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
