import { ShareGroup } from './share-group.ts'
import type { Subscriber, Subscription } from './subscription.ts'
import { Target } from './target.ts'

/** Everybody with one filter. */
export class FilterNode<S extends Subscriber> {
  // Most filters have one subscriber, and a map for each would be half of what a million of them take.
  #subscriber: S | null = null
  #subscription: Subscription | null = null
  #many: Map<S, Target<S>> | null = null
  // Made when next asked for, so that 10,000 subscriptions in a row build no list 10,000 times. The targets in it stay: with a
  // publish after each of those, copying references takes a tenth of the time that making them anew takes.
  #list: readonly Target<S>[] | null = null
  groups: Map<string, ShareGroup<S>> | null = null

  /** How many have subscribed to it for themselves, not in a group. */
  get size(): number {
    return this.#many === null ? (this.#subscriber === null ? 0 : 1) : this.#many.size
  }

  get empty(): boolean {
    return this.size === 0 && this.groups === null
  }

  /** Each subscriber with this one subscription. */
  get targets(): readonly Target<S>[] {
    this.#list ??= this.#many === null ? this.#one() : [...this.#many.values()]
    return this.#list
  }

  add(subscriber: S, subscription: Subscription): boolean {
    const many = this.#many
    this.#list = null
    if (many !== null) {
      const existed = many.has(subscriber)
      many.set(subscriber, new Target(subscriber, [subscription]))
      return existed
    }
    const only = this.#subscriber
    if (only === null || only === subscriber) {
      this.#subscriber = subscriber
      this.#subscription = subscription
      return only !== null
    }
    this.#many = new Map([
      [only, new Target(only, [this.#subscription!])],
      [subscriber, new Target(subscriber, [subscription])],
    ])
    this.#subscriber = null
    this.#subscription = null
    return false
  }

  remove(subscriber: S): Subscription | undefined {
    if (this.#many !== null) {
      const target = this.#many.get(subscriber)
      if (target === undefined) return undefined
      this.#many.delete(subscriber)
      this.#list = null
      return target.subscriptions[0]
    }
    if (this.#subscriber !== subscriber) return undefined
    const subscription = this.#subscription!
    this.#subscriber = null
    this.#subscription = null
    this.#list = null
    return subscription
  }

  #one(): readonly Target<S>[] {
    return this.#subscriber === null ? [] : [new Target(this.#subscriber, [this.#subscription!])]
  }

  group(name: string, filter: string): ShareGroup<S> {
    this.groups ??= new Map()
    let group = this.groups.get(name)
    if (group === undefined) this.groups.set(name, (group = new ShareGroup(name, filter)))
    return group
  }

  leave(name: string, subscriber: S): Subscription | undefined {
    const group = this.groups?.get(name)
    const subscription = group?.remove(subscriber)
    if (group?.size === 0) {
      this.groups!.delete(name)
      if (this.groups!.size === 0) this.groups = null
    }
    return subscription
  }
}

interface Branch<S extends Subscriber> {
  children: Map<string, Branch<S>> | null
  plus: Branch<S> | null
  /** The filter that ends here. */
  node: FilterNode<S> | null
  /** The filter that ends in `#` behind this level. */
  rest: FilterNode<S> | null
}

/** Filters with wildcards, by level. Nothing here recurses: how deep it goes, clients decide. */
export class FilterTrie<S extends Subscriber> {
  readonly #root: Branch<S> = branch()

  /** The node of a filter, made where there is none. */
  make(filter: string): FilterNode<S> {
    let at = this.#root
    for (const level of filter.split('/')) {
      if (level === '#') return (at.rest ??= new FilterNode())
      if (level === '+') at = at.plus ??= branch()
      else {
        at.children ??= new Map()
        let child = at.children.get(level)
        if (child === undefined) at.children.set(level, (child = branch()))
        at = child
      }
    }
    return (at.node ??= new FilterNode())
  }

  find(filter: string): FilterNode<S> | undefined {
    let at: Branch<S> | null | undefined = this.#root
    for (const level of filter.split('/')) {
      if (level === '#') return at.rest ?? undefined
      at = level === '+' ? at.plus : at.children?.get(level)
      if (at === null || at === undefined) return undefined
    }
    return at.node ?? undefined
  }

  /** Takes out the node of a filter, and the branches that only led to it. */
  prune(filter: string): void {
    const levels = filter.split('/')
    const path: Branch<S>[] = [this.#root]
    for (const level of levels) {
      const at = path.at(-1)!
      if (level === '#') {
        at.rest = null
        break
      }
      const next = level === '+' ? at.plus : at.children?.get(level)
      if (next === null || next === undefined) return
      path.push(next)
    }
    if (levels.at(-1) !== '#') path.at(-1)!.node = null
    for (let depth = path.length - 1; depth > 0 && bare(path[depth]!); depth--) {
      const parent = path[depth - 1]!
      const level = levels[depth - 1]!
      if (level === '+') parent.plus = null
      else {
        parent.children!.delete(level)
        if (parent.children!.size === 0) parent.children = null
      }
    }
  }

  /** Adds to `found` the nodes of all filters that match a topic name; returns how many levels of filters were looked at. */
  match(topic: string, found: FilterNode<S>[]): number {
    const levels = topic.split('/')
    // [MQTT-4.7.2-1]
    const system = topic.charCodeAt(0) === 0x24
    let branches: Branch<S>[] = [this.#root]
    let steps = 0
    for (let depth = 0; depth <= levels.length && branches.length > 0; depth++) {
      steps += branches.length
      const level = levels[depth]
      const next: Branch<S>[] = []
      for (const at of branches) {
        const hidden = system && depth === 0
        if (at.rest !== null && !hidden) found.push(at.rest)
        if (level === undefined) {
          if (at.node !== null) found.push(at.node)
          continue
        }
        if (at.plus !== null && !hidden) next.push(at.plus)
        const child = at.children?.get(level)
        if (child !== undefined) next.push(child)
      }
      branches = next
    }
    return steps
  }
}

function branch<S extends Subscriber>(): Branch<S> {
  return { children: null, plus: null, node: null, rest: null }
}

function bare<S extends Subscriber>(at: Branch<S>): boolean {
  return at.children === null && at.plus === null && at.node === null && at.rest === null
}
