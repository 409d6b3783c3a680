import { Cluster, type Redis } from 'ioredis'
import { OperatorError } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'
import { createClient, type Options, placeOf, renew } from './client-options.ts'
import type { Command } from './operation.ts'
import { slotOf } from './slots.ts'

/** What the link tells those who use it. */
export interface LinkEvents {
  ready(): void
  interrupted(error: Error): void
}

/** The connection to Redis: whether it is there, said once at each change, and commands to it with every reply looked at. */
export class Link {
  readonly #options: Options
  readonly #log: Log
  readonly #client: Redis | Cluster
  // Whoever finds that Redis does not do its work, and the link itself while there is no connection.
  readonly #failing = new Set<object>()
  #events: LinkEvents = { ready: () => {}, interrupted: () => {} }
  readonly #fullFor = new Set<object>()
  #awaySince = 0
  #lastError: Error | null = null
  #warned = false
  #stopping = false
  /** A connection is there, and Redis answers on it. */
  ready = false
  /** Writes that were sent again, and that were refused because too many wait, since the start. */
  repeated = 0
  refused = 0
  #repeatedBefore = 0
  #refusedBefore = 0

  constructor(options: Options, log: Log) {
    this.#options = options
    this.#log = log
    this.#client = createClient(options)
    // Without a listener an `error` event would end the process.
    this.#client.on('error', (error: Error) => {
      this.#lastError = error
    })
    this.#client.on('ready', () => this.#opened())
    this.#client.on('close', () => this.#closed())
  }

  get isCluster(): boolean {
    return this.#client instanceof Cluster
  }

  /** Redis does its work, as far as anybody knows. */
  get up(): boolean {
    return this.ready && this.#failing.size === 0
  }

  use(events: LinkEvents): void {
    this.#events = events
  }

  /** Connects. While Redis is away it resolves all the same, or rejects where `startup` says so. */
  async start(): Promise<void> {
    const settled = new Promise<void>(resolve => {
      this.#client.once('ready', resolve)
      this.#client.once('close', resolve)
    })
    this.#client.connect().catch(error => {
      this.#lastError ??= error
    })
    await settled
    if (this.ready || this.#options.startup === 'retry') return
    const { key, text } = placeOf(this.#options)
    throw new OperatorError('ERR_REDIS_AWAY', `${key}: Redis at ${text} is away: ${reasonOf(this.#lastError, this.#options)}`)
  }

  stop(): void {
    this.#stopping = true
    this.ready = false
    this.#client.disconnect()
  }

  /** Sends commands that concern the slot of `key`; each reply is a value or an Error. `wait`: the first is a write that replicas must have. */
  async send(key: string, commands: readonly Command[], wait: boolean): Promise<unknown[]> {
    const { waitReplicas, waitTimeout } = this.#options
    const waits = wait && waitReplicas > 0
    const waitCommand: Command = ['wait', waitReplicas, waitTimeout]
    const all = waits && !this.isCluster ? [commands[0]!, waitCommand, ...commands.slice(1)] : commands
    const replies = await this.#run(this.#client, all)
    if (waits) {
      const kept = this.isCluster ? await this.#waitOn(key, waitCommand) : replies.splice(1, 1)[0]
      if (!(replies[0] instanceof Error) && !(typeof kept === 'number' && kept >= waitReplicas)) {
        replies[0] =
          kept instanceof Error ? kept : new Error(`NOREPLICAS ${kept} of ${waitReplicas} replicas had a write within ${waitTimeout} ms`)
      }
    }
    this.#look(replies)
    return replies
  }

  // WAIT has no key, so it must be told which node: the one whose slot was written to, on the same connection.
  async #waitOn(key: string, command: Command): Promise<unknown> {
    const cluster = this.#client as Cluster
    const address = (cluster.slots as (string[] | undefined)[])[slotOf(key)]?.[0]
    const node = cluster.nodes('master').find(({ options }) => `${options.host}:${options.port}` === address)
    if (node === undefined) return new Error(`NOREPLICAS the master of ${key} is not known`)
    return (await this.#run(node, [command]))[0]
  }

  async #run(client: Redis | Cluster, commands: readonly Command[]): Promise<unknown[]> {
    try {
      const pipeline = client.pipeline()
      // In capitals, because ioredis makes objects of some replies to names that it knows in small letters.
      for (const [name, ...parts] of commands) pipeline.callBuffer(name.toUpperCase(), ...parts)
      const replies = (await pipeline.exec()) ?? []
      return commands.map((_command, i) => replies[i]?.[0] ?? replies[i]?.[1])
    } catch (error) {
      return commands.map(() => (error instanceof Error ? error : new Error(String(error))))
    }
  }

  #look(replies: readonly unknown[]): void {
    for (const reply of replies) {
      if (!(reply instanceof Error) || this.isCluster || this.#stopping) continue
      // Hung, or no master any more: a new connection may find a better one.
      if (reply.message === 'Command timed out' || reply.message.startsWith('READONLY')) {
        this.#lastError = reply
        renew(this.#client)
        return
      }
    }
  }

  /** The masters, for walks over all keys. */
  masters(): Redis[] {
    return this.#client instanceof Cluster ? this.#client.nodes('master') : [this.#client]
  }

  /** Commands to one master; each reply is a value or an Error. */
  ask(master: Redis, commands: readonly Command[]): Promise<unknown[]> {
    return this.#run(master, commands)
  }

  /** Somebody's writes or reads fail. */
  failing(who: object, error: Error): void {
    if (this.#stopping) return
    this.#lastError = error
    if (this.#failing.size === 0) {
      this.#awaySince = performance.now()
      const { text } = placeOf(this.#options)
      this.#log.warn(
        `redis at ${text} is away: ${reasonOf(error, this.#options)}; until it is back, acknowledgements of what it must keep wait and sessions that outlive their connection are refused`,
      )
    }
    this.#failing.add(who)
  }

  recovered(who: object): void {
    if (!this.#failing.delete(who) || this.#failing.size > 0) return
    const seconds = ((performance.now() - this.#awaySince) / 1000).toFixed(1)
    const again = this.repeated - this.#repeatedBefore
    const refused = this.refused - this.#refusedBefore
    this.#repeatedBefore = this.repeated
    this.#refusedBefore = this.refused
    this.#lastError = null
    this.#log.info(`redis is back after ${seconds} s: ${again} writes were sent again, ${refused} had been refused`)
  }

  /** Somebody's writes find no room. */
  full(who: object): void {
    if (this.#fullFor.size === 0) {
      this.#log.warn(
        `redis at ${placeOf(this.#options).text} is out of memory, so what it would have to keep is refused; raise its maxmemory or make room`,
      )
    }
    this.#fullFor.add(who)
  }

  hasRoom(who: object): void {
    if (this.#fullFor.delete(who) && this.#fullFor.size === 0) this.#log.info('redis has room again')
  }

  #opened(): void {
    this.ready = true
    this.#events.ready()
    this.recovered(this)
    this.#checkPolicy().catch(() => {})
  }

  #closed(): void {
    if (this.#stopping) return
    const error = this.#lastError ?? new Error('the connection was closed')
    this.ready = false
    this.failing(this, error)
    this.#events.interrupted(error)
  }

  async #checkPolicy(): Promise<void> {
    if (this.#warned) return
    for (const master of this.masters()) {
      const [reply] = await this.ask(master, [['info', 'memory']])
      const policy = /maxmemory_policy:(\S+)/.exec(String(reply))?.[1]
      const maxmemory = /maxmemory:(\d+)/.exec(String(reply))?.[1]
      if (policy === undefined || policy === 'noeviction' || this.#warned) continue
      this.#warned = true
      const when = maxmemory === '0' ? 'as soon as it has a maxmemory' : 'when its memory is full'
      this.#log.warn(
        `redis has maxmemory-policy ${policy}, so it throws sessions and messages away ${when}; set maxmemory-policy noeviction`,
      )
    }
  }
}

/** Why Redis does not do its work, with the cure. */
export function reasonOf(error: Error | null, options: Options): string {
  if (error === null) return 'no connection'
  const { message } = error
  const { key, text } = placeOf(options)
  if (/WRONGPASS|NOAUTH|invalid password|without any password configured/.test(message))
    return `it does not take the user name or password (${message}); set redis.username and redis.password`
  if (message === 'Command timed out') return `no answer within ${options.commandTimeout} ms`
  if (message.startsWith('OOM')) return 'it is out of memory; raise its maxmemory or make room'
  if (message.startsWith('READONLY')) return 'it is a read-only replica; name its master, or the sentinels'
  if (message.startsWith('NOREPLICAS')) return `${message.slice(11)}; see redis.waitReplicas`
  if (/ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH/.test(message)) return `${message}; start Redis at ${text}, or set ${key}`
  return message
}
