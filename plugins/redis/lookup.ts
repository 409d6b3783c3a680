import type { Subscription } from '../../core/routing/subscription.ts'
import { matches } from '../../core/routing/topic.ts'
import type { StoredSubscriber } from '../../core/sessions/session-store.ts'
import { sessionField as field } from './script/layout.ts'
import { decodeSubscription } from './subscriptions.ts'
import { userIn } from './user-name.ts'
import type { Writes } from './writes.ts'

// A topic of n levels can be matched by 3·2ⁿ-1 filters: up to so many levels those are asked for by name, beyond all filters are read.
const levelsMax = 8

/** Finds the durable subscribers of a topic in Redis, through the index by filter; the session's own record has the last word. */
export class Lookup {
  readonly #writes: Writes

  constructor(writes: Writes) {
    this.#writes = writes
  }

  async subscribersOf(topic: string): Promise<StoredSubscriber[]> {
    const { writers } = this.#writes
    const { keys } = writers
    const filters = await this.#filtersOf(topic)
    const fields = await writers.readEach(
      filters,
      filter => keys.subscribers(filter),
      filter => ['hkeys', keys.subscribers(filter)],
    )
    const bySession = new Map<string, string[]>()
    for (const [i, names] of fields.entries()) {
      for (const name of names as Buffer[]) {
        const [first, group, member] = String(name).split('\0')
        const clientId = member ?? first!
        const filter = member === undefined ? filters[i]! : `$share/${group}/${filters[i]}`
        const own = bySession.get(clientId)
        if (own === undefined) bySession.set(clientId, [filter])
        else own.push(filter)
      }
    }
    const sessions = [...bySession]
    const records = await writers.readEach(
      sessions,
      ([clientId]) => keys.session(clientId),
      ([clientId, own]) => [
        'hmget',
        keys.session(clientId),
        field.node,
        field.epoch,
        field.user,
        ...own.map(filter => `${field.subscription}${filter}`),
      ],
      { instead: [] },
    )
    const found: StoredSubscriber[] = []
    for (const [i, [clientId, own]] of sessions.entries()) {
      const [node, epoch, user, ...texts] = records[i] as (Buffer | null)[]
      const subscriptions: Subscription[] = []
      for (const [at, text] of texts.entries()) if (text !== null) subscriptions.push(decodeSubscription(own[at]!, String(text)))
      if (epoch == null || subscriptions.length === 0) continue
      found.push({
        clientId,
        subscriptions,
        ...userIn(user?.toString()),
        node: node == null ? null : String(node),
        epoch: Number(String(epoch)),
      })
    }
    return found
  }

  async #filtersOf(topic: string): Promise<string[]> {
    const { writers } = this.#writes
    const { keys } = writers
    const levels = topic.split('/')
    if (levels.length > levelsMax) {
      const all = await writers.readEach(
        keys.allFilters,
        key => key,
        key => ['smembers', key],
      )
      return (all as Buffer[][])
        .flat()
        .map(String)
        .filter(filter => matches(filter, topic))
    }
    const byKey = new Map<string, string[]>()
    for (const filter of filtersMatching(levels)) {
      const key = keys.filters(filter)
      const own = byKey.get(key)
      if (own === undefined) byKey.set(key, [filter])
      else own.push(filter)
    }
    const shards = [...byKey]
    const there = await writers.readEach(
      shards,
      ([key]) => key,
      ([key, own]) => ['smismember', key, ...own],
    )
    return shards.flatMap(([, own], i) => own.filter((_filter, at) => (there[i] as number[])[at] === 1))
  }
}

/** Every filter that matches a topic of these levels: each level by its name or `+`, and `#` behind any of them. */
export function filtersMatching(levels: readonly string[]): string[] {
  const isReserved = levels[0]!.startsWith('$')
  let prefixes: string[][] = [[]]
  // A wildcard at the first level does not match what begins with $ [MQTT-4.7.2-1].
  const filters = isReserved ? [] : ['#']
  for (const [at, level] of levels.entries()) {
    const wild = at === 0 && isReserved ? [] : ['+']
    prefixes = prefixes.flatMap(prefix => [level, ...wild].map(next => [...prefix, next]))
    for (const prefix of prefixes) filters.push(`${prefix.join('/')}/#`)
  }
  for (const prefix of prefixes) filters.push(prefix.join('/'))
  return filters
}
