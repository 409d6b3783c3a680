import { slotOf } from './slots.ts'

/** The prefixes that an operator may choose. */
export interface KeyPrefixes {
  readonly clusterSessionHashKey: string
  readonly topicPrefix: string
  readonly retainMessagePrefix: string
  readonly pubMsgSetPrefix: string
  readonly pubRelMsgSetPrefix: string
  readonly topicSetKey: string
  readonly bodyPrefix: string
}

// Filters and due times lie in so many keys each, so that a Redis Cluster's nodes share them.
const shards = 16

/** The names of all keys. What belongs to one session has its client id as hash tag, so it lies in one slot and one script may change it. */
export class Keys {
  readonly #prefixes: KeyPrefixes

  constructor(prefixes: KeyPrefixes) {
    this.#prefixes = prefixes
  }

  /** A hash: who owns the session, its counters, its will, its subscriptions. */
  session(clientId: string): string {
    return `${this.#prefixes.clusterSessionHashKey}:${tag(clientId)}`
  }

  get sessionPattern(): string {
    return `${escapeGlob(this.#prefixes.clusterSessionHashKey)}:{*`
  }

  /** The client id of a session's key; null where the key is none. */
  clientIdOf(sessionKey: string): string | null {
    const start = this.#prefixes.clusterSessionHashKey.length + 2
    if (!sessionKey.startsWith(`${this.#prefixes.clusterSessionHashKey}:{`) || !sessionKey.endsWith('}')) return null
    const name = sessionKey.slice(start, -1)
    // Only what `tag` has written can be read back.
    return name.includes('%') ? name.replaceAll('%7D', '}').replaceAll('%25', '%') : name
  }

  /** A sorted set: the outbound queue by position. */
  queue(clientId: string): string {
    return `${this.#prefixes.pubMsgSetPrefix}${tag(clientId)}`
  }

  /** A hash: packet identifiers of what was sent from the queue, of what is released, and of what was received at QoS 2. */
  identifiers(clientId: string): string {
    return `${this.#prefixes.pubRelMsgSetPrefix}${tag(clientId)}`
  }

  /** A hash: a message's body, and who refers to it. */
  body(reference: string): string {
    return `${this.#prefixes.bodyPrefix}${reference}`
  }

  get bodyPrefix(): string {
    return this.#prefixes.bodyPrefix
  }

  get bodyPattern(): string {
    return `${escapeGlob(this.#prefixes.bodyPrefix)}*`
  }

  retained(topic: string): string {
    return `${this.#prefixes.retainMessagePrefix}${topic}`
  }

  get retainedPattern(): string {
    return `${escapeGlob(this.#prefixes.retainMessagePrefix)}*`
  }

  topicOf(retainedKey: string): string {
    return retainedKey.slice(this.#prefixes.retainMessagePrefix.length)
  }

  /** A hash: the durable subscribers of one filter. */
  subscribers(filter: string): string {
    return `${this.#prefixes.topicPrefix}${filter}`
  }

  /** A set: the filters that hash to one shard. */
  filters(filter: string): string {
    return `${this.#prefixes.topicSetKey}:${slotOf(filter) % shards}`
  }

  get allFilters(): string[] {
    return Array.from({ length: shards }, (_, shard) => `${this.#prefixes.topicSetKey}:${shard}`)
  }

  /** A sorted set: client ids by when something of theirs comes due. */
  due(clientId: string): string {
    return `${this.#prefixes.clusterSessionHashKey}:due:${slotOf(clientId) % shards}`
  }

  get allDue(): string[] {
    return Array.from({ length: shards }, (_, shard) => `${this.#prefixes.clusterSessionHashKey}:due:${shard}`)
  }

  /** A hash: by node, the run of it and the will that it keeps for a session which ends with its connection. */
  cleanWills(clientId: string): string {
    return `${this.#prefixes.clusterSessionHashKey}:clean-will:${tag(clientId)}`
  }

  /** A set: the client ids whose wills one run of a node keeps. */
  willsOf(node: string, run: string): string {
    return `${this.#prefixes.clusterSessionHashKey}:clean-wills:${node}:${run}`
  }

  /** A set: the runs of nodes that keep wills, each as its node and its run with a NUL between them. */
  get willRuns(): string {
    return `${this.#prefixes.clusterSessionHashKey}:clean-wills`
  }

  /** The format of what is kept. */
  get format(): string {
    return `${this.#prefixes.clusterSessionHashKey}:format`
  }

  /** The mark by which it is noticed that what was kept is gone; `tag` says on which master. */
  mark(tag: string): string {
    return `${this.#prefixes.clusterSessionHashKey}:mark:{${tag}}`
  }

  /** A hash: how many sessions lie in the slot of `tag`, and what they have queued. */
  totals(tag: string): string {
    return `${this.#prefixes.clusterSessionHashKey}:totals:{${tag}}`
  }

  /** A set: the tags of the slots of a Redis Cluster that sessions lie in. */
  get totalsTags(): string {
    return `${this.#prefixes.clusterSessionHashKey}:totals`
  }

  /** A node's last sign of life. */
  node(node: string | number): string {
    return `${this.#prefixes.clusterSessionHashKey}:node:${node}`
  }

  /** A hash: the living nodes of the cluster. */
  get members(): string {
    return `${this.#prefixes.clusterSessionHashKey}:cluster:{all}:members`
  }

  /** A stream: what happens to sessions and what nodes announce, in the order that all nodes see. */
  get log(): string {
    return `${this.#prefixes.clusterSessionHashKey}:cluster:{all}:log`
  }

  /** A stream: what is posted to one run of a node. */
  inbox(node: string, boot: string): string {
    return `${this.#prefixes.clusterSessionHashKey}:inbox:${node}:${boot}`
  }

  /** A hash: what one run of a node lets the others read. */
  table(node: string, boot: string, table: string): string {
    return `${this.#prefixes.clusterSessionHashKey}:${table}:${node}:${boot}`
  }

  /** The channels that nodes are told things on, each under its name. */
  get channelPrefix(): string {
    return `${this.#prefixes.clusterSessionHashKey}:wire:`
  }

  /** A hash: the last batch that one process has written to the slot of `tag`, and its answer. */
  lastBatch(tag: string, processId: string): string {
    return `${this.#prefixes.clusterSessionHashKey}:batch:{${tag}}:${processId}`
  }
}

// A closing brace in a client id would end its hash tag too early, or leave it empty.
function tag(clientId: string): string {
  return /[%}]/.test(clientId) ? `{${clientId.replaceAll('%', '%25').replaceAll('}', '%7D')}}` : `{${clientId}}`
}

function escapeGlob(text: string): string {
  return text.replaceAll(/[\\*?[\]]/g, '\\$&')
}
