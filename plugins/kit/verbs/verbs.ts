import type { Actor } from '../../../core/actor.ts'
import { OperatorError } from '../../../core/errors.ts'
import type { Hooks } from '../../../core/hooks.ts'
import type { ConnectRefusal } from '../../../core/refusals.ts'
import type { WorkerPlace } from '../../../core/worker-place.ts'

/**
 * What each verb is given and answers, for the types of `broker.inspect` and `broker.operate`: empty here. Whoever brings a verb adds a line:
 * `declare module 'mqttx-broker' { interface VerbMap { weather: [given: { city: string }, answer: Weather] } }`.
 */
// biome-ignore lint/suspicious/noEmptyInterface: it is filled by declaration merging.
export interface VerbMap {}

/** The name of a verb: one that the types know, or any other. */
export type VerbName = keyof VerbMap | (string & {})

/** What a verb is given. */
export type Given<V> = V extends keyof VerbMap ? (VerbMap[V] extends [infer G, unknown] ? G : object) : object

/** What a verb answers. */
export type Answered<V> = V extends keyof VerbMap ? (VerbMap[V] extends [unknown, infer A] ? A : unknown) : unknown

/** What one node has answered to a verb that is asked at all nodes. */
export interface VerbPart {
  /** The node's name: its `brokerId`, as text. */
  readonly node: string
  /** What the verb's `run` has answered there. */
  readonly answer: unknown
}

/** A node that has not answered, and why. */
export interface MissingNode {
  /** The node's name. */
  readonly node: string
  /** Why there is no answer. */
  readonly why: string
}

/** Something that can be asked of a broker, or done to it. `defineVerb` of `mqttx-broker/kit` makes one whose arguments are checked. */
export interface Verb {
  /** Lower case, words with a blank between them: `clients`, `retained rm`. */
  readonly name: string
  /** The verb changes something: `operate` does it, once `onOperate` has no objection, and `inspect` does not. */
  readonly changes: boolean
  /** Asks, or acts, at this node. `given` is what the caller said; a wrong argument is an `OperatorError`. */
  run(given: object, actor: Actor): unknown
  /** Makes one answer of those of all nodes, this one first. Left out: the verb is asked at this node alone. */
  merge?(parts: readonly VerbPart[], missing: readonly MissingNode[], given: object): unknown
  /** Where nobody is named, the workers of this broker are asked, and no other nodes. Default: all nodes are. */
  readonly ownWorkersOnly?: boolean
  /** It may take long: nodes are asked one after the other, and each is waited for as long as it lives. Default: all at once, and each for 2 s. */
  readonly inTurn?: boolean
}

/** The way to the other nodes: whoever connects nodes provides it by `broker.verbs.link`. */
export interface VerbLink {
  /** The names of the others that live. */
  others(): readonly string[]
  /** Has another node run a verb by `verbs.here`; rejects where it does not answer in time, or with `waits` where it has gone. */
  ask(node: string, verb: string, given: object, actor: Actor, waits?: boolean): Promise<unknown>
}

/** All verbs of a broker, by name: the one table that command line, routes and help come from. */
export class Verbs {
  /** The name of this node: its `brokerId`, as text. */
  readonly node: string
  readonly #hooks: Hooks
  // The names of the workers of this broker, this node too; none where it has none.
  readonly #workers: readonly string[]
  readonly #verbs: Map<string, Verb>
  #link: VerbLink | null

  /** `node`: the name of this node. `worker`: which worker of several it is, and then its name is `NAME/1`; null: none. */
  constructor(hooks: Hooks, node: string, worker: WorkerPlace | null = null) {
    this.#hooks = hooks
    const prefix = node.slice(0, node.lastIndexOf('/') + 1)
    this.#workers = Array.from({ length: worker?.count ?? 0 }, (_, i) => `${prefix}${i + 1}`)
    this.node = node
    this.#verbs = new Map()
    this.#link = null
  }

  /** Adds one; returns what takes it away again. Two of one name are a mistake of the plugin's. */
  add(verb: Verb): () => void {
    if (this.#verbs.has(verb.name)) throw new TypeError(`verbs: there is a ${verb.name} already; choose another name`)
    this.#verbs.set(verb.name, verb)
    return () => void (this.#verbs.get(verb.name) === verb && this.#verbs.delete(verb.name))
  }

  /** The verb of a name; `undefined`: nobody has brought it. */
  find(name: string): Verb | undefined {
    return this.#verbs.get(name)
  }

  [Symbol.iterator](): IterableIterator<Verb> {
    return this.#verbs.values()
  }

  /** From now on verbs that are asked at all nodes are asked at the others, too. */
  link(link: VerbLink): void {
    this.#link = link
  }

  /** Runs a verb at this node alone, and asks no hook: for whoever connects nodes, when another node asks. */
  async here(name: string, given: object, actor: Actor): Promise<unknown> {
    return await this.#named(name).run(given, actor)
  }

  /** `Broker.inspect`. */
  async inspect(name: string, given: object, actor: Actor): Promise<unknown> {
    const verb = this.#named(name)
    if (verb.changes) throw new OperatorError('ERR_VERB', `${name} changes something; it is done by operate`)
    return await this.#run(verb, given, actor)
  }

  /** `Broker.operate`. */
  async operate(actor: Actor, name: string, given: object): Promise<unknown> {
    const verb = this.#named(name)
    if (!verb.changes) return await this.#run(verb, given, actor)
    const { onOperate, onOperated } = this.#hooks
    let failed: Error | null = null
    try {
      const refusal = onOperate.isUsed() ? onOperate.call(actor, name, given) : undefined
      if (refusal != null) throw new OperatorError('ERR_OPERATE_REFUSED', `${name} is refused: ${reasonOf(refusal)}`)
      return await this.#run(verb, given, actor)
    } catch (error) {
      failed = error as Error
      throw error
    } finally {
      onOperated.call({ verb: 'operate', actor, name, target: given, failed })
    }
  }

  #named(name: string): Verb {
    const verb = this.#verbs.get(name)
    if (verb === undefined)
      throw new OperatorError('ERR_VERB', `there is no verb ${name} here; the plugin that brings it is off, or it is spelt otherwise`)
    return verb
  }

  async #run(verb: Verb, given: object, actor: Actor): Promise<unknown> {
    const link = this.#link
    if (verb.merge === undefined) return await verb.run(given, actor)
    const { node: wanted, ...rest } = given as { readonly node?: unknown }
    const own = this.node
    const others = link?.others() ?? []
    if (wanted !== undefined && wanted !== own && !others.includes(String(wanted)))
      throw new OperatorError('ERR_VERB', `there is no node ${wanted}; there are ${[own, ...others].join(', ')}`)
    const isNear = (node: string): boolean => verb.ownWorkersOnly !== true || this.#workers.includes(node)
    const asked = wanted === undefined ? [own, ...others.filter(isNear)] : [String(wanted)]
    const missing: MissingNode[] = []
    // A worker that has died comes again, and has a part in the whole answer.
    if (wanted === undefined)
      for (const node of this.#workers) if (!asked.includes(node)) missing.push({ node, why: 'it is being started again' })
    const ask = async (node: string): Promise<VerbPart | null> => {
      if (node === own) return { node, answer: await verb.run(rest, actor) }
      try {
        return { node, answer: await link!.ask(node, verb.name, rest, actor, verb.inTurn) }
      } catch (error) {
        missing.push({ node, why: (error as Error).message })
        return null
      }
    }
    const parts: (VerbPart | null)[] = []
    if (verb.inTurn === true) for (const node of asked) parts.push(await ask(node))
    else parts.push(...(await Promise.all(asked.map(ask))))
    const answers = parts.filter(part => part !== null)
    // Nobody who was asked has answered: that is no answer that says no.
    if (answers.length === 0)
      throw new OperatorError(
        'ERR_NODE_SILENT',
        missing.map(({ node, why }) => `${verb.name}: node ${node} has not answered: ${why}`),
      )
    return await verb.merge(answers, missing, rest)
  }
}

function reasonOf(refusal: ConnectRefusal): string {
  return typeof refusal === 'object' && refusal.reasonString !== undefined ? refusal.reasonString : 'a plugin does not allow it'
}

declare module '../../../core/broker.js' {
  interface Broker {
    /** What can be asked of the broker and done to it, by name. */
    readonly verbs: Verbs
    /**
     * Asks something that changes nothing: `inspect('clients', { user: 'alice' })`. In a cluster all nodes are asked where the verb says so; `node` in what is
     * given names one. Answers come in pages, and long ones take a millisecond of a turn. Rejects with an `OperatorError` (`ERR_VERB`, `ERR_ARGUMENTS`).
     */
    inspect<V extends VerbName>(verb: V, given?: Given<V>): Promise<Answered<V>>
    /**
     * Does something for an operator, in a cluster wherever it has to be done: `operate(actor, 'kick', { id: 'meter-7' })`. `onOperate` is asked before, and
     * `onOperated` told afterwards. Rejects with an `OperatorError`: `ERR_OPERATE_REFUSED`, `ERR_VERB`, `ERR_ARGUMENTS`.
     */
    operate<V extends VerbName>(actor: Actor, verb: V, given?: Given<V>): Promise<Answered<V>>
  }
}

declare module '../../../core/error-codes.js' {
  interface ErrorCodes {
    /** There is no such verb, or it is not one to be asked in this way. */
    ERR_VERB: true
    /** The node that was to be asked has not answered. */
    ERR_NODE_SILENT: true
    /** A tap of `onOperate` does not let an operator do something. */
    ERR_OPERATE_REFUSED: true
  }
}
