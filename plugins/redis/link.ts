import { Cluster, type Redis } from 'ioredis'
import { OperatorError } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'
import { StoreAwayError } from '../../core/sessions/session-store.ts'
import type { Clock, Timer } from '../../core/time/clock.ts'
import { afterAwake } from '../kit/awake-timer.ts'
import { createClient, type Options, placeOf, renew } from './client-options.ts'
import type { Command } from './operation.ts'
import { persistenceOf } from './persistence.ts'
import { slotOf } from './slots.ts'
import { isRefusal } from './verdicts.ts'

/** The hash tag of what has one for each slot of a Redis Cluster, where there is no such thing. */
export const singleTag = 'all'

// Redis is asked so often whether it can be used, where it could not.
const admitAgainMs = 100

// While it is away, another reason for it is said so often at most: breaking connections have several in turn.
const sayAgainMs = 1000

/** What the link tells those who use it. */
export interface LinkEvents {
  /** A connection is there, and nothing has been done on it yet. Where it rejects, nothing is: it is asked again a little later. */
  admit(): Promise<void>
  ready(): void
  interrupted(error: Error): void
}

/** The connection to Redis: whether it is there, said once at each change, and commands to it with every reply looked at. */
export class Link {
  readonly #options: Options
  readonly #log: Log
  readonly #clock: Clock
  readonly #client: Redis | Cluster
  // Whoever finds that Redis does not do its work, and the link itself while there is no connection.
  readonly #failing = new Set<object>()
  #events: LinkEvents = { admit: async () => {}, ready: () => {}, interrupted: () => {} }
  readonly #fullFor = new Set<object>()
  #awaySince = 0
  #lastError: Error | null = null
  // Why it is away, as it was said last, and when that was.
  #saidReason = ''
  #saidAt = 0
  #warned = false
  #stopping = false
  /** A connection is there, and Redis answers on it. */
  ready = false
  /** Writes that were sent again, and that were refused because too many wait, since the start. */
  repeated = 0
  refused = 0
  #repeatedBefore = 0
  // Connections that have ended.
  #connections = 0
  #admitAgain: NodeJS.Timeout | undefined
  #opening: Timer | undefined
  // Commands on their way: what is on a connection that breaks, ioredis neither settles nor sends again.
  readonly #underWay = new Set<(error: Error) => void>()
  // The first try to connect has come to an end.
  #onSettled: () => void = () => {}
  #refusedBefore = 0

  constructor(options: Options, log: Log, clock: Clock) {
    this.#options = options
    this.#log = log
    this.#clock = clock
    this.#client = createClient(options, 'watched')
    // Without a listener an `error` event would end the process.
    this.#client.on('error', (error: Error) => {
      this.#lastError = error
    })
    // A sentinel's master that takes the connection has still to say what it is.
    this.#client.on('connect', () => {
      this.#opening?.cancel()
      this.#opening = afterAwake(clock, options.commandTimeout, () => renew(this.#client))
    })
    this.#client.on('ready', () => {
      this.#opening?.cancel()
      void this.#connected()
    })
    this.#client.on('close', () => {
      this.#opening?.cancel()
      this.#closed()
    })
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
      this.#onSettled = resolve
    })
    this.#client.connect().catch(error => {
      this.#lastError ??= error
    })
    await settled
    if (this.ready) return
    // That is no outage, and waiting does not mend it.
    if (this.#lastError instanceof OperatorError) throw this.#lastError
    if (this.#options.startup === 'retry') return
    const { key, text } = placeOf(this.#options)
    throw new OperatorError('ERR_REDIS_AWAY', `${key}: Redis at ${text} is away: ${reasonOf(this.#lastError, this.#options)}`)
  }

  stop(): void {
    this.#stopping = true
    clearTimeout(this.#admitAgain)
    this.#opening?.cancel()
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
    const master = this.masterOf(key)
    if (master === null) return new Error(`NOREPLICAS the master of ${key} is not known`)
    return (await this.#run(master, [command]))[0]
  }

  async #run(client: Redis | Cluster, commands: readonly Command[]): Promise<unknown[]> {
    let broken: (error: Error) => void = () => {}
    try {
      const pipeline = client.pipeline()
      // In capitals, because ioredis makes objects of some replies to names that it knows in small letters.
      for (const [name, ...parts] of commands) pipeline.callBuffer(name.toUpperCase(), parts as never)
      const replies = await new Promise<[Error | null, unknown][]>((resolve, reject) => {
        broken = reject
        this.#underWay.add(broken)
        this.#inTime(pipeline.exec()).then(found => resolve(found ?? []), reject)
      })
      return commands.map((_command, i) => replies[i]?.[0] ?? replies[i]?.[1])
    } catch (error) {
      return commands.map(() => (error instanceof Error ? error : new Error(String(error))))
    } finally {
      this.#underWay.delete(broken)
    }
  }

  // An answer that has come while this process stood still is one.
  #inTime<T>(answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const late = afterAwake(this.#clock, this.#options.commandTimeout, () => reject(new Error('Command timed out')))
      answer.then(resolve, reject).finally(() => late.cancel())
    })
  }

  /** One command, to any master where it has no key. Rejects where Redis refuses it, or gives no answer in time. */
  call(name: string, ...parts: (string | number)[]): Promise<unknown> {
    return this.#inTime(this.#client.call(name, ...parts))
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

  /** The master that the slot of a key lies on; null where a Redis Cluster does not say so just now. */
  masterOf(key: string): Redis | null {
    if (!(this.#client instanceof Cluster)) return this.#client
    const address = (this.#client.slots as (string[] | undefined)[])[slotOf(key)]?.[0]
    return this.#client.nodes('master').find(({ options }) => `${options.host}:${options.port}` === address) ?? null
  }

  /**
   * One command that reads for each key, those of one master together. The replies are in the order of the keys. Where Redis refuses one, that one's reply is what `refused`
   * makes of it; any other error rejects.
   */
  async askEach(
    keys: readonly string[],
    commandOf: (key: string) => Command,
    refused: (error: Error, key: string) => unknown,
  ): Promise<unknown[]> {
    const byMaster = new Map<Redis, number[]>()
    for (const [i, key] of keys.entries()) {
      const master = this.masterOf(key)
      if (master === null) throw new StoreAwayError(`the master of ${key} is not known`)
      const own = byMaster.get(master)
      if (own === undefined) byMaster.set(master, [i])
      else own.push(i)
    }
    const replies: unknown[] = []
    await Promise.all(
      [...byMaster].map(async ([master, own]) => {
        const answers = await this.#run(
          master,
          own.map(i => commandOf(keys[i]!)),
        )
        for (const [at, i] of own.entries()) replies[i] = answers[at]
      }),
    )
    return replies.map((reply, i) => {
      if (!(reply instanceof Error)) return reply
      if (isRefusal(reply)) return refused(reply, keys[i]!)
      throw reply
    })
  }

  /** Commands to one master; each reply is a value or an Error. */
  ask(master: Redis, commands: readonly Command[]): Promise<unknown[]> {
    return this.#run(master, commands)
  }

  /** Somebody's writes or reads fail. */
  failing(who: object, error: Error): void {
    if (this.#stopping) return
    this.#lastError = error
    const { text } = placeOf(this.#options)
    const reason = reasonOf(error, this.#options)
    if (this.#failing.size === 0) {
      this.#awaySince = performance.now()
      this.#saidReason = reason
      this.#saidAt = performance.now()
      this.#log.warn(
        `redis at ${text} is away: ${reason}; until it is back, acknowledgements of what it must keep wait and sessions that outlive their connection are refused`,
      )
    } else if (kindOf(reason) !== kindOf(this.#saidReason) && performance.now() - this.#saidAt >= sayAgainMs) {
      this.#saidReason = reason
      this.#saidAt = performance.now()
      this.#log.warn(`redis at ${text} is still away, for another reason: ${reason}`)
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

  /** Redis has refused writes because its memory is full, and none has been taken since. */
  get isFull(): boolean {
    return this.#fullFor.size > 0
  }

  hasRoom(who: object): void {
    if (this.#fullFor.delete(who) && this.#fullFor.size === 0) this.#log.info('redis has room again')
  }

  async #connected(): Promise<void> {
    const connection = this.#connections
    try {
      await this.#events.admit()
    } catch (error) {
      if (connection !== this.#connections || this.#stopping) return
      this.failing(this, error as Error)
      this.#onSettled()
      this.#admitAgain = setTimeout(() => void this.#connected(), admitAgainMs)
      this.#admitAgain.unref()
      return
    }
    if (connection === this.#connections && !this.#stopping) this.#opened()
  }

  #opened(): void {
    this.ready = true
    this.#onSettled()
    this.#events.ready()
    this.recovered(this)
    this.#checkPersistence().catch(() => {})
  }

  #closed(): void {
    this.#connections += 1
    for (const broken of this.#underWay) broken(new Error('the connection has broken'))
    clearTimeout(this.#admitAgain)
    this.#onSettled()
    if (this.#stopping) return
    const error = this.#lastError ?? new Error('the connection was closed')
    this.ready = false
    this.failing(this, error)
    this.#events.interrupted(error)
  }

  // Once a run: whoever runs Redis should know what it may lose.
  async #checkPersistence(): Promise<void> {
    if (this.#warned) return
    this.#warned = true
    const said = new Set<string>()
    for (const master of this.masters()) {
      const { warnings, notes } = await persistenceOf((name, ...parts) => this.#inTime(master.call(name, ...parts)))
      const where = this.isCluster ? `redis at ${master.options.host}:${master.options.port}` : 'redis'
      if (!this.#options.acceptVolatile)
        for (const warning of warnings) this.#log.warn(`${where}: ${warning}; redis.acceptVolatile: true if that is meant`)
      for (const note of notes) {
        if (!said.has(note)) this.#log.info(`redis: ${note}`)
        said.add(note)
      }
    }
  }
}

// What passes and comes again while a connection is tried is one reason.
function kindOf(reason: string): string {
  return /ECONN|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|closed|broken|no connection|no answer|timed out|writeable/i.test(reason)
    ? 'connection'
    : reason
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
