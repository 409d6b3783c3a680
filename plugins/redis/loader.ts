import type { StoredSubscriber } from '../../core/sessions/session-store.ts'
import type { SessionPlace } from './known-sessions.ts'
import type { Command } from './operation.ts'
import { migrate } from './operations/migrate.ts'
import { park } from './operations/park.ts'
import { sessionField as field } from './script/layout.ts'
import { decodeSubscription } from './subscriptions.ts'
import { userIn } from './user-name.ts'
import { isRefusal } from './verdicts.ts'
import { all, nothing, type Writes } from './writes.ts'

const scanCount = 1000
// A node that nobody has heard of for so long is forgotten.
const nodeLifeMs = 30 * 24 * 3600 * 1000

/** What a session's record says of it at start, and what it counts for. */
export interface LoadedSession extends StoredSubscriber {
  readonly node: string | null
  /** False: an older version stored it, and it is not counted yet. */
  readonly isCounted: boolean
  readonly queued: { readonly messages: number; readonly bytes: number }
}

/** Reads all stored sessions, at start: their filters only, the rest when it is needed. */
export class Loader {
  readonly #writes: Writes
  readonly #node: string | number

  constructor(writes: Writes, node: string | number) {
    this.#writes = writes
    this.#node = node
  }

  /** Each session once, or more often where keys move about meanwhile. `atStart`: clocks that a crash left standing begin to run. */
  async *sessions(atStart = true): AsyncIterable<LoadedSession> {
    const lastSign = await this.#lastSign()
    for (const master of this.#writes.writers.link.masters()) {
      const { link, keys } = this.#writes.writers
      let cursor = '0'
      do {
        const page = await link.ask(master, [['scan', cursor, 'match', keys.sessionPattern, 'count', scanCount]])
        const [next, names] = value(page[0]) as [Buffer, Buffer[]]
        cursor = next.toString()
        const found = names.map(String)
        if (found.length === 0) continue
        const replies = await link.ask(
          master,
          found.map((name): Command => ['hgetall', name]),
        )
        const clocks: Promise<unknown>[] = []
        for (const [i, name] of found.entries()) {
          const clientId = keys.clientIdOf(name)
          const fields = this.#fieldsOf(replies[i], name, clientId)
          if (clientId !== null && fields.length > 0) yield this.#subscriberOf(clientId, fields, atStart ? lastSign : null, clocks)
        }
        await Promise.all(clocks)
      } while (cursor !== '0')
    }
  }

  // What another program keeps under such a name is no session, and no reason not to know the others.
  #fieldsOf(reply: unknown, name: string, clientId: string | null): readonly Buffer[] {
    if (!(reply instanceof Error)) return reply as Buffer[]
    if (!isRefusal(reply)) throw reply
    this.#writes.writers.refusals.refuse(reply, name, clientId)
    return []
  }

  /** This node is alive: where it ends without a word, the clocks of its sessions start here. */
  async sign(): Promise<void> {
    const { keys } = this.#writes.writers
    await this.#writes.command('set', keys.node(this.#node), [Math.round(this.#writes.writers.time.now()), 'PX', nodeLifeMs])
  }

  /** This node has stopped in order: none of its sessions is left to be closed. */
  async unsign(): Promise<void> {
    await this.#writes.command('del', this.#writes.writers.keys.node(this.#node), [], { late: () => {} })
  }

  async #lastSign(): Promise<number> {
    const { writers } = this.#writes
    const key = writers.keys.node(this.#node)
    const [answer] = await writers.link.send(key, [['get', key]], false)
    const isRefused = answer instanceof Error && isRefusal(answer)
    if (isRefused) writers.refusals.refuse(answer, key)
    const reply = isRefused ? null : value(answer)
    return reply === null ? writers.time.now() : Number(String(reply))
  }

  #subscriberOf(clientId: string, fields: readonly Buffer[], lastSign: number | null, clocks: Promise<unknown>[]): LoadedSession {
    const subscriptions = []
    let node: string | null = null
    let epoch = 0
    let due = Number.POSITIVE_INFINITY
    let user: string | undefined
    let isCounted = false
    const queued = { messages: 0, bytes: 0 }
    for (let i = 0; i < fields.length; i += 2) {
      const name = fields[i]!.toString()
      const text = fields[i + 1]!
      if (name.startsWith(field.subscription))
        subscriptions.push(decodeSubscription(name.slice(field.subscription.length), text.toString()))
      else if (name === field.node) node = text.toString()
      else if (name === field.epoch) epoch = Number(text.toString())
      else if (name === field.user) user = text.toString()
      else if (name === field.count) queued.messages = Number(text.toString())
      else if (name === field.bytes) queued.bytes = Number(text.toString())
      else if (name === field.format) isCounted = true
      else if (name === field.expiresAt || name === field.willAt) due = Math.min(due, Number(text.toString()))
    }
    const more = { ...userIn(user), epoch, isCounted, queued }
    if (lastSign === null) return { clientId, subscriptions, node, ...more }
    if (node === String(this.#node)) {
      clocks.push(this.park(clientId, { node, epoch }, lastSign))
      node = null
    } else if (node === null && due < Number.POSITIVE_INFINITY) {
      clocks.push(this.#hint(clientId, due))
    }
    return { clientId, subscriptions, node, ...more }
  }

  /** Brings a session of an older version to this version's format. */
  migrate(clientId: string): Promise<unknown> {
    return this.#writes.write(this.#writes.writers.keys.session(clientId), out => migrate.write(out, { session: clientId }), nothing)
  }

  /** A node has ended without closing this session of its: its clocks begin to run at that node's last sign of life. */
  async park(clientId: string, { node, epoch }: SessionPlace, lastSign: number): Promise<void> {
    const rows = await this.#writes.write(
      this.#writes.writers.keys.session(clientId),
      out => park.write(out, { session: clientId, from: lastSign, owner: node, epoch }),
      all,
      { late: () => {} },
    )
    const parked = rows?.find(({ kind }) => kind === 'parked')
    if (parked !== undefined) await this.#hint(clientId, Number(String(parked.values[0])))
  }

  // It is there already, unless a crash on Redis Cluster came between the session and its hint.
  #hint(clientId: string, at: number): Promise<unknown> {
    return this.#writes.command('zadd', this.#writes.writers.keys.due(clientId), [at, clientId], { late: () => {} })
  }
}

function value(reply: unknown): unknown {
  if (reply instanceof Error) throw reply
  return reply
}
