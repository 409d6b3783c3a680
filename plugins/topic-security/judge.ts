import type { Publisher, Rights } from '../../core/publisher.ts'
import { covers, isTopicFilter, matches, parseShare } from '../../core/routing/topic.ts'
import { textBytes } from '../kit/bounded-cache.ts'
import { overlaps } from '../kit/topics.ts'
import type { Clause, Rules } from './rules.ts'

// Verdicts on topics are remembered up to so many bytes, all clients together: some 300,000 of them; then all begin anew.
const bytesMax = 33_554_432
// A place in a map, and the map, which one client may have for one topic only.
const entryBytes = 80
const mapBytes = 300

type Action = 'publish' | 'subscribe'

/** What is remembered of one publisher, or of one client that reads. Good as long as what it was made of has not changed. */
class Verdicts {
  readonly username: string | null
  readonly rights: Rights | null
  readonly listener: string | undefined
  readonly generation: number
  readonly clauses: readonly Clause[]
  /** Null: nothing was said of what it may publish to, or read, and it need not be. */
  readonly filters: readonly string[] | null
  // Whoever publishes mostly does so to one topic: comparing a reference costs less than looking it up.
  lastTopic: string
  lastVerdict: boolean
  readonly byTopic: Map<string, boolean>

  constructor(
    { username, rights }: Publisher,
    listener: string | undefined,
    generation: number,
    clauses: readonly Clause[],
    said: readonly string[] | undefined,
    passes: boolean,
  ) {
    this.username = username
    this.rights = rights
    this.listener = listener
    this.generation = generation
    this.clauses = clauses
    this.filters = passes && said === undefined ? null : filtersOf(said)
    this.lastTopic = ''
    this.lastVerdict = false
    this.byTopic = new Map()
  }
}

/** Says what a client may do: by the first rule that fits, else by its rights. */
export class Judge {
  #rules: Rules
  // Whoever has no list of rights may do everything that no rule denies.
  #passes: boolean
  readonly #listenerOf: (publisher: Publisher) => string | undefined
  readonly #publishers: WeakMap<Publisher, Verdicts>
  readonly #readers: WeakMap<Publisher, Verdicts>
  // Those that remember more than the last topic: a client that idles must not keep what is to be forgotten.
  #holding: Verdicts[]
  #generation: number
  #bytes: number

  /** `withoutRights`: what a client may do of whom no rule and no list says anything. `listenerOf`: where it is, or was last, connected. */
  constructor(
    rules: Rules,
    withoutRights: 'deny' | 'pass' = 'deny',
    listenerOf: (publisher: Publisher) => string | undefined = () => undefined,
  ) {
    this.#rules = rules
    this.#passes = withoutRights === 'pass'
    this.#listenerOf = listenerOf
    this.#publishers = new WeakMap()
    this.#readers = new WeakMap()
    this.#holding = []
    this.#generation = 0
    this.#bytes = 0
  }

  set rules(rules: Rules) {
    this.#rules = rules
    this.clear()
  }

  /** Bytes that verdicts on topics keep, roughly. */
  get bytes(): number {
    return this.#bytes
  }

  /** Forgets all verdicts. */
  clear(): void {
    for (const { byTopic } of this.#holding) byTopic.clear()
    this.#holding = []
    this.#generation += 1
    this.#bytes = 0
  }

  set withoutRights(withoutRights: 'deny' | 'pass') {
    this.#passes = withoutRights === 'pass'
    this.clear()
  }

  mayPublish(publisher: Publisher, topic: string): boolean {
    return this.#may(this.#publishers, publisher, 'publish', topic)
  }

  /** Whether a client may have a message, where that is judged at each delivery. */
  mayRead(reader: Publisher, topic: string): boolean {
    return this.#may(this.#readers, reader, 'subscribe', topic)
  }

  #may(known: WeakMap<Publisher, Verdicts>, publisher: Publisher, action: Action, topic: string): boolean {
    let verdicts = known.get(publisher)
    const listener = this.#listener(publisher)
    if (
      verdicts === undefined ||
      verdicts.rights !== publisher.rights ||
      verdicts.username !== publisher.username ||
      verdicts.listener !== listener ||
      verdicts.generation !== this.#generation
    ) {
      const { rights } = publisher
      const said = action === 'publish' ? rights?.authorizedPub : rights?.authorizedSub
      const clauses = this.#rules.clausesFor(publisher, action, listener)
      verdicts = new Verdicts(publisher, listener, this.#generation, clauses, said, this.#passes)
      known.set(publisher, verdicts)
    }
    if (verdicts.lastTopic === topic) return verdicts.lastVerdict
    let verdict = verdicts.byTopic.get(topic)
    if (verdict === undefined) {
      verdict = judgeTopic(verdicts.clauses, verdicts.filters, topic)
      const bytes = entryBytes + textBytes(topic) + (verdicts.byTopic.size === 0 ? mapBytes : 0)
      if (this.#bytes + bytes > bytesMax) this.clear()
      if (verdicts.byTopic.size === 0) this.#holding.push(verdicts)
      verdicts.byTopic.set(topic, verdict)
      this.#bytes += bytes
    }
    verdicts.lastTopic = topic
    verdicts.lastVerdict = verdict
    return verdict
  }

  #listener(publisher: Publisher): string | undefined {
    return this.#rules.askListeners ? this.#listenerOf(publisher) : undefined
  }

  /** By what a client may or may not do something, for people: the rule and where it stands, or its rights. */
  explain(publisher: Publisher, action: 'publish' | 'subscribe', topic: string): string {
    const plain = parseShare(topic)?.filter ?? topic
    for (const { allows, filter, at } of this.#rules.clausesFor(publisher, action, this.#listener(publisher))) {
      const asked = action === 'publish' || (filter !== null && isShared(filter)) ? topic : plain
      const fits =
        filter === null || (action === 'publish' ? matches(filter, asked) : allows ? covers(filter, asked) : overlaps(filter, asked))
      if (fits) return `${at} ${allows ? 'allows' : 'denies'} ${filter ?? 'everything, because a name of the client holds +, # or /'}`
    }
    const rights = action === 'publish' ? publisher.rights?.authorizedPub : publisher.rights?.authorizedSub
    if (rights === undefined)
      return `no rule fits, and the client was given no rights: topicSecurity.withoutRights is ${this.#passes ? 'pass' : 'deny'}`
    return `no rule fits, and its rights are ${rights.slice(0, 10).join(', ') || 'empty'}${rights.length > 10 ? ` and ${rights.length - 10} more` : ''}`
  }

  /** Not remembered: a client subscribes now and then. */
  maySubscribe(publisher: Publisher, filter: string): boolean {
    const plain = parseShare(filter)?.filter ?? filter
    for (const { allows, filter: said } of this.#rules.clausesFor(publisher, 'subscribe', this.#listener(publisher))) {
      if (said === null) return false
      const asked = isShared(said) ? filter : plain
      // All of it has to be allowed, and any part of it may be denied.
      if (allows ? covers(said, asked) : overlaps(said, asked)) return allows
    }
    const rights = publisher.rights?.authorizedSub
    if (rights === undefined) return this.#passes
    return rights.some(right => isTopicFilter(right) && covers(right, isShared(right) ? filter : plain))
  }
}

function judgeTopic(clauses: readonly Clause[], filters: readonly string[] | null, topic: string): boolean {
  for (const { allows, filter } of clauses) if (filter === null || matches(filter, topic)) return allows
  if (filters === null) return true
  for (const filter of filters) if (matches(filter, topic)) return true
  return false
}

function isShared(filter: string): boolean {
  return filter.startsWith('$share/')
}

function filtersOf(filters: readonly string[] | undefined): readonly string[] {
  return filters?.filter(filter => isTopicFilter(filter)) ?? []
}
