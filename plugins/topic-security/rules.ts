import { OperatorError } from '../../core/errors.ts'
import type { OptionsOf } from '../../core/options/options.ts'
import type { Publisher } from '../../core/publisher.ts'
import { isTopicFilter } from '../../core/routing/topic.ts'
import type { topicSecurityManifest } from './manifest.ts'

/** One rule as the operator writes it. */
export type RuleInput = OptionsOf<typeof topicSecurityManifest.options>['rules'][number]

/** What a rule says to one client about one filter. `filter` null: about every topic there is. */
export interface Clause {
  readonly allows: boolean
  readonly filter: string | null
  /** Where it stands: `topicSecurity.rules[3]`. */
  readonly at: string
}

interface Rule {
  readonly allows: boolean
  readonly publish: boolean
  readonly subscribe: boolean
  readonly users: ReadonlySet<string> | null
  readonly anonymous: boolean
  readonly listeners: ReadonlySet<string> | null
  readonly clientIds: ReadonlySet<string> | null
  /** Each filter once: as it stands, or to be filled in. */
  readonly parts: readonly { readonly clause: Clause; readonly template: boolean }[]
}

/** All rules, in order. */
export class Rules {
  readonly #rules: readonly Rule[]
  /** Some of them hold for some listeners only. */
  readonly askListeners: boolean

  /** `at` names where they stand, for messages: `topicSecurity.rules`, or a file. */
  constructor(...sources: readonly { readonly rules: readonly RuleInput[]; readonly at: string }[]) {
    this.#rules = sources.flatMap(({ rules, at }) => rules.map((rule, index) => compile(rule, `${at}[${index}]`)))
    this.askListeners = this.#rules.some(rule => rule.listeners !== null)
  }

  /** What they say to one client, in order. `listener`: the one that it is, or was last, connected to; `undefined`: nobody knows. */
  clausesFor({ username, clientId }: Publisher, action: 'publish' | 'subscribe', listener: string | undefined): Clause[] {
    const clauses: Clause[] = []
    for (const rule of this.#rules) {
      if (!rule[action] || !isAbout(rule, username)) continue
      if (rule.listeners !== null && (listener === undefined ? rule.allows : !rule.listeners.has(listener))) continue
      if (rule.clientIds !== null && !rule.clientIds.has(clientId)) continue
      for (const { clause, template } of rule.parts) {
        const filled = template ? fill(clause, username, clientId) : clause
        if (filled !== null) clauses.push(filled)
      }
    }
    return clauses
  }
}

function isAbout({ users, anonymous }: Rule, username: string | null): boolean {
  if (username === null) return anonymous || users === null
  return users === null ? !anonymous : users.has(username)
}

function compile({ allow, deny, topics, users, anonymous, listeners, clientIds }: RuleInput, at: string): Rule {
  const action = allow ?? deny
  if (action === undefined || (allow !== undefined && deny !== undefined)) {
    throw new OperatorError('ERR_RULES', `${at}: a rule allows or denies; say one of allow and deny, as in allow: publish`)
  }
  const parts = topics.map((filter, index) => {
    const template = /%[uc]/.test(filter)
    if (!isTopicFilter(template ? filter.replaceAll(/%[uc]/g, 'x') : filter)) {
      throw new OperatorError(
        'ERR_RULES',
        `${at}.topics[${index}]: ${JSON.stringify(filter)} is no topic filter; + and # stand alone between slashes`,
      )
    }
    return { clause: { allows: allow !== undefined, filter, at }, template }
  })
  return {
    publish: action !== 'subscribe',
    subscribe: action !== 'publish',
    users: users === undefined ? null : new Set(users),
    anonymous: anonymous === true,
    listeners: listeners === undefined ? null : new Set(listeners),
    allows: allow !== undefined,
    clientIds: clientIds === undefined ? null : new Set(clientIds),
    parts,
  }
}

/**
 * Puts a client's names in. They are the client's own words, so a name that would be more than a part of one level must not make an
 * allowance wider, nor slip past a denial: the first does not apply, the second denies everything.
 */
function fill(clause: Clause, username: string | null, clientId: string): Clause | null {
  const template = clause.filter!
  const asksUser = template.includes('%u')
  // Nobody's topics are nobody's.
  if (asksUser && (username === null || username === '')) return null
  const filter = template.replaceAll(/%[uc]/g, name => (name === '%u' ? username! : clientId))
  const plain = !(asksUser && isMore(username!)) && !(template.includes('%c') && isMore(clientId))
  // `%u/#` of a user that calls itself $SYS.
  if (plain && filter.startsWith('$') === template.startsWith('$')) return { allows: clause.allows, filter, at: clause.at }
  return clause.allows ? null : { allows: false, filter: null, at: clause.at }
}

function isMore(name: string): boolean {
  return /[+#/]/.test(name)
}
