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
  /** Stands before all of them. */
  readonly prefix?: string
  /** The number of the database. */
  readonly database?: number | undefined
  /** The nodes of a Redis Cluster; none: there is no such thing. */
  readonly nodes?: readonly string[]
}

// Filters and due times lie in so many keys each, so that a Redis Cluster's nodes share them.
const shards = 16

/** The names of all keys. What belongs to one session has its client id as hash tag, so it lies in one slot and one script may change it. */
export class Keys {
  readonly #prefix: string
  readonly #database: number
  readonly #isCluster: boolean
  readonly #prefixes: KeyPrefixes

  constructor(options: KeyPrefixes) {
    const { prefix = '', nodes = [], database = 0 } = options
    this.#database = database
    this.#prefix = prefix
    this.#isCluster = nodes.length > 0
    this.#prefixes = {
      clusterSessionHashKey: prefix + options.clusterSessionHashKey,
      topicPrefix: prefix + options.topicPrefix,
      retainMessagePrefix: prefix + options.retainMessagePrefix,
      pubMsgSetPrefix: prefix + options.pubMsgSetPrefix,
      pubRelMsgSetPrefix: prefix + options.pubRelMsgSetPrefix,
      topicSetKey: prefix + options.topicSetKey,
      bodyPrefix: prefix + options.bodyPrefix,
    }
  }

  /**
   * A name that people choose (a topic, a filter, a node), as it stands in a key. Redis takes the whole key for its slot where the first braces in it have nothing between them; ioredis
   * goes on to the next closing brace, and would ask the wrong server for ever. Such a name gets a hash tag of its own on a Redis Cluster; no name has a NUL in it, so none looks like one.
   */
  #name(name: string): string {
    return this.#isCluster && /^[^{]*\{\}[^}]*\}/.test(name) ? `{\0${slotOf(name).toString(36)}}${name}` : name
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

  /** The client id in any key that belongs to one session; null where there is none. For people: it may be cut where it holds what ends a hash tag. */
  clientIdIn(key: string): string | null {
    const found = /^[^{]*\{([^}]*)\}/.exec(key)?.[1]
    const { clusterSessionHashKey, pubMsgSetPrefix, pubRelMsgSetPrefix } = this.#prefixes
    const isSession = [
      `${clusterSessionHashKey}:{`,
      `${clusterSessionHashKey}:clean-will:{`,
      `${pubMsgSetPrefix}{`,
      `${pubRelMsgSetPrefix}{`,
    ]
    if (found === undefined || !isSession.some(prefix => key.startsWith(prefix))) return null
    return found.replaceAll('%7D', '}').replaceAll('%25', '%')
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
    return `${this.#prefixes.retainMessagePrefix}${this.#name(topic)}`
  }

  get retainedPattern(): string {
    return `${escapeGlob(this.#prefixes.retainMessagePrefix)}*`
  }

  topicOf(retainedKey: string): string {
    const name = retainedKey.slice(this.#prefixes.retainMessagePrefix.length)
    return name.startsWith('{\0') ? name.slice(name.indexOf('}') + 1) : name
  }

  /** A hash: the durable subscribers of one filter. */
  subscribers(filter: string): string {
    return `${this.#prefixes.topicPrefix}${this.#name(filter)}`
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
    return `${this.#prefixes.clusterSessionHashKey}:clean-wills:${this.#name(node)}:${run}`
  }

  /** A set: the runs of nodes that keep wills, each as its node and its run with a NUL between them. */
  get willRuns(): string {
    return `${this.#prefixes.clusterSessionHashKey}:clean-wills`
  }

  /** The format of what is kept. */
  get format(): string {
    return `${this.#prefixes.clusterSessionHashKey}:format`
  }

  /** How far the store's time is ahead of Redis' clock. */
  get time(): string {
    return `${this.#prefixes.clusterSessionHashKey}:time`
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
    return `${this.#prefixes.clusterSessionHashKey}:node:${this.#name(String(node))}`
  }

  get nodePattern(): string {
    return `${escapeGlob(this.node(''))}*`
  }

  /** The node in the key of its last sign of life. */
  nodeOf(nodeKey: string): string {
    return nodeKey.slice(this.node('').length)
  }

  /** A hash: the living nodes of the cluster. */
  get members(): string {
    return `${this.#prefixes.clusterSessionHashKey}:cluster:{all}:members`
  }

  /** A stream: what happens to sessions and what nodes announce, in the order that all nodes see. */
  get log(): string {
    return `${this.#prefixes.clusterSessionHashKey}:cluster:{all}:log`
  }

  /** A hash: the state, which all nodes know. In the slot of the log. */
  get state(): string {
    return `${this.#prefixes.clusterSessionHashKey}:cluster:{all}:state`
  }

  /** A stream: what is posted to one run of a node. */
  inbox(node: string, boot: string): string {
    return `${this.#prefixes.clusterSessionHashKey}:inbox:${this.#name(node)}:${boot}`
  }

  /** A hash: what one run of a node lets the others read. */
  table(node: string, boot: string, table: string): string {
    return `${this.#prefixes.clusterSessionHashKey}:${table}:${this.#name(node)}:${boot}`
  }

  /** A value that all nodes agree on, under a name that is the asker's. */
  agreed(name: string): string {
    return `${this.#prefix}${this.#name(name)}`
  }

  /** The channels that nodes are told things on, each under its name. Channels know no databases; version 0.2.0 (`isOld`) knew no difference. */
  channelPrefix(isOld: boolean): string {
    return `${this.#prefixes.clusterSessionHashKey}:wire${isOld || this.#database === 0 ? '' : `/${this.#database}`}:`
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
