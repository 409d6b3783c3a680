import { randomBytes } from 'node:crypto'
import { OperatorError } from '../../core/errors.ts'
import type { Clock } from '../../core/time/clock.ts'
import type { Node } from '../kit/services/bus.ts'
import { type SpokenVersions, versionRefusal } from '../kit/spoken-versions.ts'
import { busLanguage, busVersion, oldestBusVersion } from './bus-version.ts'
import type { Command } from './operation.ts'
import { logField } from './script/layout.ts'
import { LuaScript } from './script/lua-script.ts'
import type { SlotWriters } from './slot-writers.ts'

/** What stands in the hash of members for each: the versions of the bus that it speaks, which run of it, how many signs of life it has given, what it says of itself. */
interface Sign {
  /** The newest and the oldest version of the bus that it speaks. */
  readonly v?: number
  readonly o?: number
  /** 1: it listens to a channel whose name has the database. */
  readonly d?: number
  readonly b: string
  readonly c: number
  readonly f: Node['facts']
}

interface MemberSign {
  readonly text: string
  readonly node: Node
  /** Why this node cannot speak with it; null: it can. */
  readonly refusal: string | null
  readonly newest: number
  readonly knowsDatabase: boolean
  at: number
}

/** How long a node lives without a sign, and how often it gives one. Milliseconds. */
export interface Lifetimes {
  readonly heartbeatMs: number
  readonly expiryMs: number
}

// A sign of life, and an entry in the log ('' for none); answers with all signs, or with nothing where this run has been taken off the list.
const signScript = new LuaScript(
  ['members', 'log'],
  ['node', 'boot', 'sign', 'entry', 'version'],
  `
local held = redis.call('HGET', members, node)
if entry == '' and not (held and cjson.decode(held).b == boot) then return false end
redis.call('HSET', members, node, sign)
if entry ~= '' then redis.call('XADD', log, '*', '${logField.version}', version, '${logField.node}', node, '${logField.kind}', 'j', '${logField.said}', entry) end
return redis.call('HGETALL', members)
`,
)

// Takes a node off the list unless it has given another sign than `seen` since; all are told. Exactly one of those who try succeeds.
const removeScript = new LuaScript(
  ['members', 'log'],
  ['node', 'seen', 'entry', 'version'],
  `
if redis.call('HGET', members, node) ~= seen then return 0 end
redis.call('HDEL', members, node)
redis.call('XADD', log, '*', '${logField.version}', version, '${logField.node}', node, '${logField.kind}', 'x', '${logField.said}', entry)
return 1
`,
)

/** The living nodes of the cluster. Who lives is judged by signs that change, as each node's own clock tells the time between them. */
export class Members {
  readonly #writers: SlotWriters
  readonly #clock: Clock
  readonly #node: string
  readonly #lifetimes: Lifetimes
  readonly #facts: () => Node['facts']
  /** The last sign of each, and when it was new. */
  readonly #signs = new Map<string, MemberSign>()
  #count = 0
  #lastSign = ''
  /** Names this run of this node. */
  boot = ''
  /** Told at each sign of life of a node that this one cannot speak with. */
  onRefused: (name: string, refusal: string) => void = () => {}

  constructor(writers: SlotWriters, clock: Clock, node: string, lifetimes: Lifetimes, facts: () => Node['facts']) {
    this.#writers = writers
    this.#clock = clock
    this.#node = node
    this.#lifetimes = lifetimes
    this.#facts = facts
  }

  /** All that are on the list and can be spoken with. */
  get nodes(): Node[] {
    return [...this.#signs.values()].flatMap(({ node, refusal }) => (refusal === null ? [node] : []))
  }

  /** The version of the bus that all of them speak: this node's own, or the one before while there are nodes that speak no newer one. */
  get version(): number {
    let version = busVersion
    for (const { refusal, newest } of this.#signs.values()) if (refusal === null && newest < version) version = newest
    return version
  }

  /** One of them knows no channels but those that have no database in their names. */
  get haveOldChannels(): boolean {
    for (const { refusal, knowsDatabase } of this.#signs.values()) if (refusal === null && !knowsDatabase) return true
    return false
  }

  /** The first of the names: what one node does for all, that one does. */
  get isFirst(): boolean {
    return this.nodes.every(({ name }) => this.#node <= name)
  }

  /**
   * Comes onto the list. One that stands there under this node's name either gives another sign soon, and then this node must not
   * start, or has died. Resolves with the dead one, if there was one.
   */
  async join(): Promise<Node | null> {
    const { members } = this.#writers.keys
    await this.#refuseStrangers()
    const held = await this.#ask(['hget', members, this.#node])
    let dead: Node | null = null
    if (held !== null && String(held) !== this.#lastSign) {
      await this.#pause(this.#lifetimes.heartbeatMs * 2.5)
      if (!(await this.remove(this.#node, String(held)))) {
        const now = await this.#ask(['hget', members, this.#node])
        if (now !== null) {
          throw new OperatorError(
            'ERR_NODE_TWICE',
            `brokerId: a broker called ${this.#node} lives in this cluster; give this one a brokerId of its own`,
          )
        }
      }
      dead = nodeOf(this.#node, String(held))
    }
    this.boot = randomBytes(9).toString('base64url')
    this.#count = 0
    await this.#sign(true)
    return dead
  }

  // Who speaks another version must not live beside this node. One that stands on the list and gives no sign any more has died.
  async #refuseStrangers(): Promise<void> {
    const strangers = await this.#strangers()
    if (strangers.size === 0) return
    await this.#pause(this.#lifetimes.heartbeatMs * 2.5)
    const now = await this.#strangers()
    for (const [name, { text }] of strangers) {
      if (now.get(name)?.text !== text || !(await this.remove(name, text))) continue
      now.delete(name)
    }
    const [living] = now.values()
    if (living !== undefined) throw new OperatorError('ERR_BUS_VERSION', `cluster: ${living.refusal}`)
  }

  async #strangers(): Promise<Map<string, { readonly text: string; readonly refusal: string }>> {
    const list = (await this.#ask(['hgetall', this.#writers.keys.members])) as Buffer[]
    const found = new Map<string, { text: string; refusal: string }>()
    for (let i = 0; i < list.length; i += 2) {
      const name = list[i]!.toString()
      const text = list[i + 1]!.toString()
      const refusal = versionRefusal(name, versionsOf(text), busLanguage)
      if (refusal !== null) found.set(name, { text, refusal })
    }
    return found
  }

  /** A sign of life; `false`: this run has been taken off the list. */
  async sign(): Promise<boolean> {
    return this.#sign(false)
  }

  async #sign(joins: boolean): Promise<boolean> {
    const { members, log } = this.#writers.keys
    this.#count += 1
    const sign: Sign = { v: busVersion, o: oldestBusVersion, d: 1, b: this.boot, c: this.#count, f: this.#facts() }
    const text = JSON.stringify(sign)
    const args = { node: this.#node, boot: this.boot, sign: text, entry: joins ? text : '', version: this.version }
    const list = await this.#ask(signScript.whole({ members, log }, args))
    if (list === null) return false
    this.#lastSign = text
    this.#see(list as Buffer[])
    return true
  }

  #see(list: readonly Buffer[]): void {
    const now = this.#clock.now()
    const seen = new Set<string>()
    for (let i = 0; i < list.length; i += 2) {
      const name = list[i]!.toString()
      const text = list[i + 1]!.toString()
      seen.add(name)
      if (this.#signs.get(name)?.text !== text) this.#signs.set(name, this.#signOf(name, text, now))
    }
    for (const name of this.#signs.keys()) if (!seen.has(name)) this.#signs.delete(name)
  }

  /** The log says that a node has come, before this node's next sign of life does. */
  joined(name: string, text: string): void {
    if (name !== this.#node) this.#signs.set(name, this.#signOf(name, text, this.#clock.now()))
  }

  #signOf(name: string, text: string, at: number): MemberSign {
    const spoken = versionsOf(text)
    const refusal = versionRefusal(name, spoken, busLanguage)
    if (refusal !== null) this.onRefused(name, refusal)
    return { text, node: nodeOf(name, text), refusal, newest: spoken?.newest ?? 0, knowsDatabase: (JSON.parse(text) as Sign).d === 1, at }
  }

  /** Takes those off the list that have given no sign for too long. */
  async removeDead(): Promise<void> {
    const now = this.#clock.now()
    for (const [name, { text, at }] of this.#signs) {
      if (name !== this.#node && now - at > this.#lifetimes.expiryMs) await this.remove(name, text)
    }
  }

  /** This node was away itself, so what it saw of the others is old, and they have their whole time again. */
  forgive(): void {
    const at = this.#clock.now()
    for (const sign of this.#signs.values()) sign.at = at
  }

  /** Takes one off the list that gave this sign last; all are told. */
  async remove(name: string, sign: string): Promise<boolean> {
    const { members, log } = this.#writers.keys
    const entry = JSON.stringify({ b: (JSON.parse(sign) as Sign).b, by: this.boot })
    return (await this.#ask(removeScript.whole({ members, log }, { node: name, seen: sign, entry, version: this.version }))) === 1
  }

  /** Goes off the list in good order. */
  async leave(): Promise<void> {
    await this.remove(this.#node, this.#lastSign)
  }

  async #ask(command: Command): Promise<unknown> {
    const [reply] = await this.#writers.link.send(this.#writers.keys.members, [command], false)
    if (reply instanceof Error) throw reply
    return reply
  }

  #pause(ms: number): Promise<void> {
    return new Promise(resolve => this.#clock.after(ms, resolve))
  }
}

/** What a sign of life says of the versions of the bus; null: nothing. */
export function versionsOf(sign: string): SpokenVersions | null {
  const { v, o } = JSON.parse(sign) as Sign
  return v === undefined || o === undefined ? null : { newest: v, oldest: o }
}

export function nodeOf(name: string, sign: string): Node {
  const { b, f } = JSON.parse(sign) as Sign
  return { name, boot: b, facts: f }
}
