import { randomBytes } from 'node:crypto'
import { OperatorError } from '../../core/errors.ts'
import type { Clock } from '../../core/time/clock.ts'
import type { Node } from '../kit/services/bus.ts'
import type { SlotWriters } from './slot-writers.ts'

/** What stands in the hash of members for each: which run of it, how many signs of life it has given, what it says of itself. */
interface Sign {
  readonly b: string
  readonly c: number
  readonly f: Node['facts']
}

/** How long a node lives without a sign, and how often it gives one. Milliseconds. */
export interface Lifetimes {
  readonly heartbeatMs: number
  readonly expiryMs: number
}

// KEYS: members, log. ARGV: node, boot, sign, log entry ('' for none). A sign of life; answers with all signs, or with nothing where
// this run has been taken off the list.
const signScript = `
local held = redis.call('HGET', KEYS[1], ARGV[1])
if ARGV[4] == '' and not (held and cjson.decode(held).b == ARGV[2]) then return false end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
if ARGV[4] ~= '' then redis.call('XADD', KEYS[2], '*', 'n', ARGV[1], 'k', 'j', 'd', ARGV[4]) end
return redis.call('HGETALL', KEYS[1])
`

// KEYS: members, log. ARGV: node, the sign that was seen last, log entry. Takes a node off the list unless it has given another sign since; all
// are told. Exactly one of those who try succeeds.
const removeScript = `
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('XADD', KEYS[2], '*', 'n', ARGV[1], 'k', 'x', 'd', ARGV[3])
return 1
`

/** The living nodes of the cluster. Who lives is judged by signs that change, as each node's own clock tells the time between them. */
export class Members {
  readonly #writers: SlotWriters
  readonly #clock: Clock
  readonly #node: string
  readonly #lifetimes: Lifetimes
  readonly #facts: () => Node['facts']
  /** The last sign of each, and when it was new. */
  readonly #signs = new Map<string, { text: string; node: Node; at: number }>()
  #count = 0
  #lastSign = ''
  /** Names this run of this node. */
  boot = ''

  constructor(writers: SlotWriters, clock: Clock, node: string, lifetimes: Lifetimes, facts: () => Node['facts']) {
    this.#writers = writers
    this.#clock = clock
    this.#node = node
    this.#lifetimes = lifetimes
    this.#facts = facts
  }

  /** All that are on the list. */
  get nodes(): Node[] {
    return [...this.#signs.values()].map(({ node }) => node)
  }

  /** The first of the names: what one node does for all, that one does. */
  get isFirst(): boolean {
    return [...this.#signs.keys()].every(name => this.#node <= name)
  }

  /**
   * Comes onto the list. One that stands there under this node's name either gives another sign soon, and then this node must not
   * start, or has died. Resolves with the dead one, if there was one.
   */
  async join(): Promise<Node | null> {
    const { members } = this.#writers.keys
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

  /** A sign of life; `false`: this run has been taken off the list. */
  async sign(): Promise<boolean> {
    return this.#sign(false)
  }

  async #sign(joins: boolean): Promise<boolean> {
    const { members, log } = this.#writers.keys
    this.#count += 1
    const sign: Sign = { b: this.boot, c: this.#count, f: this.#facts() }
    const text = JSON.stringify(sign)
    const list = await this.#ask(['eval', signScript, 2, members, log, this.#node, this.boot, text, joins ? text : ''])
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
      if (this.#signs.get(name)?.text !== text) this.#signs.set(name, { text, node: nodeOf(name, text), at: now })
    }
    for (const name of this.#signs.keys()) if (!seen.has(name)) this.#signs.delete(name)
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
    return (await this.#ask(['eval', removeScript, 2, members, log, name, sign, entry])) === 1
  }

  /** Goes off the list in good order. */
  async leave(): Promise<void> {
    await this.remove(this.#node, this.#lastSign)
  }

  async #ask(command: readonly [string, ...(string | number)[]]): Promise<unknown> {
    const [reply] = await this.#writers.link.send(this.#writers.keys.members, [command], false)
    if (reply instanceof Error) throw reply
    return reply
  }

  #pause(ms: number): Promise<void> {
    return new Promise(resolve => this.#clock.after(ms, resolve))
  }
}

export function nodeOf(name: string, sign: string): Node {
  const { b, f } = JSON.parse(sign) as Sign
  return { name, boot: b, facts: f }
}
