import type { StoredSubscriber } from '../../core/sessions/session-store.ts'
import type { Clock } from '../../core/time/clock.ts'
import { Code } from './batch-script.ts'
import type { Command } from './operation.ts'
import { decodeSubscription } from './subscriptions.ts'
import { all, type Writes } from './writes.ts'

const scanCount = 1000
// A node that nobody has heard of for so long is forgotten.
const nodeLifeMs = 30 * 24 * 3600 * 1000

/** Reads all stored sessions, at start: their filters only, the rest when it is needed. */
export class Loader {
  readonly #writes: Writes
  readonly #clock: Clock
  readonly #node: string | number

  constructor(writes: Writes, clock: Clock, node: string | number) {
    this.#writes = writes
    this.#clock = clock
    this.#node = node
  }

  /** Each session once, or more often where keys move about meanwhile. Clocks that a crash left standing begin to run. */
  async *sessions(): AsyncIterable<StoredSubscriber> {
    const lastSign = await this.#lastSign()
    for (const master of this.#writes.lanes.link.masters()) {
      const { link, keys } = this.#writes.lanes
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
          const fields = value(replies[i]) as Buffer[]
          if (clientId !== null && fields.length > 0) yield this.#take(clientId, fields, lastSign, clocks)
        }
        await Promise.all(clocks)
      } while (cursor !== '0')
    }
  }

  /** This node is alive: where it ends without a word, the clocks of its sessions start here. */
  async sign(): Promise<void> {
    const { keys } = this.#writes.lanes
    await this.#writes.command('set', keys.node(this.#node), [Math.round(this.#clock.now()), 'PX', nodeLifeMs])
  }

  async #lastSign(): Promise<number> {
    const { lanes } = this.#writes
    const key = lanes.keys.node(this.#node)
    const reply = value((await lanes.link.send(key, [['get', key]], false))[0])
    return reply === null ? this.#clock.now() : Number(String(reply))
  }

  #take(clientId: string, fields: readonly Buffer[], lastSign: number, clocks: Promise<unknown>[]): StoredSubscriber {
    const subscriptions = []
    let node: string | null = null
    let due = Number.POSITIVE_INFINITY
    for (let i = 0; i < fields.length; i += 2) {
      const name = fields[i]!.toString()
      const text = fields[i + 1]!
      if (name.startsWith('s')) subscriptions.push(decodeSubscription(name.slice(1), text.toString()))
      else if (name === 'n') node = text.toString()
      else if (name === 'x' || name === 'wa') due = Math.min(due, Number(text.toString()))
    }
    if (node === String(this.#node)) clocks.push(this.#park(clientId, lastSign))
    else if (node === null && due < Number.POSITIVE_INFINITY) clocks.push(this.#hint(clientId, due))
    return { clientId, subscriptions }
  }

  async #park(clientId: string, lastSign: number): Promise<void> {
    const rows = await this.#writes.write(
      this.#writes.lanes.keys.session(clientId),
      Code.Park,
      out => {
        out.session(clientId)
        out.double(lastSign)
        out.shortText(String(this.#node))
      },
      all,
      { late: () => {} },
    )
    if (rows !== null) await this.#hint(clientId, Number(String(rows[0]!.values[0])))
  }

  // It is there already, unless a crash on Redis Cluster came between the session and its hint.
  #hint(clientId: string, at: number): Promise<unknown> {
    return this.#writes.command('zadd', this.#writes.lanes.keys.due(clientId), [at, clientId], { late: () => {} })
  }
}

function value(reply: unknown): unknown {
  if (reply instanceof Error) throw reply
  return reply
}
