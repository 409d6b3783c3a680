import type { Clock } from '../time/clock.ts'
import { FilterNode, FilterTrie } from './filter-trie.ts'
import type { ShareGroup } from './share-group.ts'
import type { Subscriber, Subscription } from './subscription.ts'
import { type Route, Target } from './target.ts'
import { hasWildcard, matches, parseShare } from './topic.ts'

interface Cached<S extends Subscriber> {
  route: Route<S>
  // How many changes of wildcard filters it has seen.
  changes: number
  // Bytes that keeping it takes, roughly.
  cost: number
}

// Two generations of this many bytes: some 150,000 ordinary topics, or fewer that are long or have many overlapping subscribers.
const generationBytes = 33_554_432
// A topic's place in the map, and its route without the topic's name and the lists' elements.
const routeBytes = 260
const noOne: readonly never[] = []
// What an element of a list takes, with what the list has in reserve.
const elementBytes = 12
// Levels of filters that are looked at, and matches, in one turn of the event loop, some 2 ms; receivers of messages that have many, some 7 ms.
const stepsPerTurn = 20_000
// So many missed changes are compared with the topic one by one (some 50 ns each); after more the trie is asked again.
const replayMax = 64

/**
 * Who has subscribed to what. Exact filters lie in a flat map, those with wildcards in a trie, and each topic name's route is
 * kept until something that matters to that topic changes: an exact filter ends its own topic's route only, and a change of
 * a wildcard filter is compared with a topic when that topic is next published to, so that subscribing costs the same however
 * many topics there are.
 */
export class Router<S extends Subscriber> {
  /** What `/metrics` calls the routes of topic names. */
  readonly name = 'routes'
  readonly #exact = new Map<string, FilterNode<S>>()
  readonly #wild = new FilterTrie<S>()
  // Two generations: what was not used while the younger filled up goes.
  #young = new Map<string, Cached<S>>()
  #old = new Map<string, Cached<S>>()
  #youngBytes = 0
  #oldBytes = 0
  /** What matching, and bringing messages to many, has cost in this turn of the event loop. */
  steps = 0
  readonly #generationBytes: number
  // The last changes of wildcard filters, as a ring, and how many there were in all.
  readonly #changed: string[] = new Array(replayMax).fill('')
  #changes = 0
  #size = 0
  readonly #clock: Pick<Clock, 'turn'>
  readonly #rest = (): void => {
    this.steps = 0
  }

  /** `cacheBytes`: a test's own bound for one generation of the cache. */
  constructor(clock: Pick<Clock, 'turn'>, cacheBytes = generationBytes) {
    this.#clock = clock
    this.#generationBytes = cacheBytes
  }

  /** Subscriptions, all sessions together. */
  get size(): number {
    return this.#size
  }

  /** So much has been matched in this turn, for whomever, that who publishes now goes on in a later one: filters by the thousand may match a topic name. */
  get spent(): boolean {
    return this.steps > stepsPerTurn
  }

  /** Bytes that the routes of topic names keep, roughly. */
  get bytes(): number {
    return this.#youngBytes + this.#oldBytes
  }

  /** Forgets the routes of all topic names, which are made anew when somebody publishes; the subscriptions stay. */
  clear(): void {
    this.#young = new Map()
    this.#old = new Map()
    this.#youngBytes = 0
    this.#oldBytes = 0
  }

  /** So much more has been done for a message in this turn: filters looked at, or receivers that get it. */
  spend(steps: number): void {
    if (this.steps === 0) this.#clock.turn(this.#rest)
    this.steps += steps
  }

  /** Adds one; `true` where it takes the place of one with the same filter [MQTT-3.8.4-3]. */
  subscribe(subscriber: S, subscription: Subscription): boolean {
    const share = parseShare(subscription.filter)
    const filter = share?.filter ?? subscription.filter
    const node = hasWildcard(filter) ? this.#wild.make(filter) : this.#make(filter)
    const existed = share === null ? node.add(subscriber, subscription) : node.group(share.group, filter).add(subscriber, subscription)
    if (!existed) this.#size += 1
    this.#touch(filter)
    return existed
  }

  /** Takes one away and returns it. */
  unsubscribe(subscriber: S, filter: string): Subscription | undefined {
    const share = parseShare(filter)
    const plain = share?.filter ?? filter
    const wild = hasWildcard(plain)
    const node = wild ? this.#wild.find(plain) : this.#exact.get(plain)
    const removed = share === null ? node?.remove(subscriber) : node?.leave(share.group, subscriber)
    if (removed === undefined) return undefined
    this.#size -= 1
    if (node!.empty) {
      if (wild) this.#wild.prune(plain)
      else this.#exact.delete(plain)
    }
    this.#touch(plain)
    return removed
  }

  /** The group of a whole filter, `$share/{name}/{filter}`. */
  groupOf(key: string): ShareGroup<S> | undefined {
    const share = parseShare(key)
    if (share === null) return undefined
    const node = hasWildcard(share.filter) ? this.#wild.find(share.filter) : this.#exact.get(share.filter)
    return node?.groups?.get(share.group)
  }

  /** Who gets what is published to `topic`. */
  route(topic: string): Route<S> {
    let cached = this.#young.get(topic)
    if (cached === undefined) {
      cached = this.#old.get(topic)
      if (cached === undefined) {
        cached = { route: null as never, changes: 0, cost: 0 }
        this.#renew(topic, cached)
        this.#keep(topic, cached)
        return cached.route
      }
      this.#old.delete(topic)
      this.#oldBytes -= cached.cost
      this.#keep(topic, cached)
    }
    if (cached.changes !== this.#changes) {
      if (this.#concerned(topic, cached.changes)) {
        this.#young.delete(topic)
        this.#youngBytes -= cached.cost
        this.#renew(topic, cached)
        this.#keep(topic, cached)
      } else {
        cached.changes = this.#changes
      }
    }
    return cached.route
  }

  #make(filter: string): FilterNode<S> {
    let node = this.#exact.get(filter)
    if (node === undefined) this.#exact.set(filter, (node = new FilterNode()))
    return node
  }

  #keep(topic: string, cached: Cached<S>): void {
    if (this.#youngBytes + cached.cost > this.#generationBytes) {
      this.#old = this.#young
      this.#oldBytes = this.#youngBytes
      this.#young = new Map()
      this.#youngBytes = 0
    }
    this.#young.set(topic, cached)
    this.#youngBytes += cached.cost
  }

  #touch(filter: string): void {
    if (hasWildcard(filter)) {
      this.#changed[this.#changes % replayMax] = filter
      this.#changes += 1
      return
    }
    const cached = this.#young.get(filter)
    if (cached === undefined) {
      this.#oldBytes -= this.#old.get(filter)?.cost ?? 0
      this.#old.delete(filter)
    } else {
      this.#young.delete(filter)
      this.#youngBytes -= cached.cost
    }
  }

  /** Does any wildcard filter that has changed since match the topic? */
  #concerned(topic: string, since: number): boolean {
    if (this.#changes - since > replayMax) return true
    for (let change = since; change < this.#changes; change++) if (matches(this.#changed[change % replayMax]!, topic)) return true
    return false
  }

  #renew(topic: string, cached: Cached<S>): void {
    const nodes: FilterNode<S>[] = []
    const exact = this.#exact.get(topic)
    if (exact !== undefined) nodes.push(exact)
    const looked = this.#wild.match(topic, nodes)
    cached.changes = this.#changes
    if (nodes.length === 0) {
      this.spend(looked)
      cached.route = { topic, targets: noOne, groups: noOne }
      cached.cost = routeBytes + topic.length * 2
      return
    }
    const groups: ShareGroup<S>[] = []
    for (const node of nodes) if (node.groups !== null) for (const group of node.groups.values()) groups.push(group)
    this.spend(looked + nodes.length + groups.length)
    const plain = nodes.filter(node => node.size > 0)
    // One filter's list is shared by all topics that it alone matches; a merged one is this topic's own.
    const merged = plain.length === 1 ? null : merge(plain)
    cached.route = { topic, targets: merged?.targets ?? plain[0]!.targets, groups }
    cached.cost = routeBytes + topic.length * 2 + groups.length * elementBytes + (merged?.bytes ?? 0)
  }
}

// Linear in the number of matches, however many filters of one session overlap.
function merge<S extends Subscriber>(nodes: readonly FilterNode<S>[]): { targets: readonly Target<S>[]; bytes: number } {
  const targets = new Map<S, Target<S>>()
  const overlapping = new Map<S, Subscription[]>()
  for (const node of nodes) {
    for (const target of node.targets) {
      const { subscriber } = target
      const first = targets.get(subscriber)
      if (first === undefined) {
        targets.set(subscriber, target)
        continue
      }
      let all = overlapping.get(subscriber)
      if (all === undefined) overlapping.set(subscriber, (all = [...first.subscriptions]))
      for (const subscription of target.subscriptions) all.push(subscription)
    }
  }
  let bytes = targets.size * elementBytes + overlapping.size * 200
  for (const [subscriber, all] of overlapping) {
    const target = new Target(subscriber, all)
    targets.set(subscriber, target)
    // There may be another such target without those that are No Local.
    bytes += (all.length + (target.identifiers?.length ?? 0)) * elementBytes * (target.noLocal ? 2 : 1)
  }
  return { targets: [...targets.values()], bytes }
}
