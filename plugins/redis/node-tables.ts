import type { Node } from '../kit/services/bus.ts'
import { leftoverMs } from './script/layout.ts'
import type { SlotWriters } from './slot-writers.ts'
import type { Writes } from './writes.ts'

/** Milliseconds after which Redis forgets the tables of a node whose end nobody has seen. */
export const tableLifeMs = leftoverMs
const rowsPerPage = 1000

type Run = Pick<Node, 'boot'>

/** What nodes let one another read: a hash for each table of each run of a node. */
export class NodeTables {
  readonly #writers: SlotWriters
  readonly #writes: Writes
  readonly #node: string
  /** Those that this node has rows in. */
  readonly #names = new Set<string>()

  constructor(writers: SlotWriters, writes: Writes, node: string) {
    this.#writers = writers
    this.#writes = writes
    this.#node = node
  }

  async set({ boot }: Run, table: string, key: string, value: Buffer | null): Promise<void> {
    const hash = this.#writers.keys.table(this.#node, boot, table)
    if (value === null) {
      await this.#writes.command('hdel', hash, [key])
      return
    }
    await this.#writes.command('hset', hash, [key, value], { bytes: 200 + key.length + value.length })
    if (this.#names.has(table)) return
    this.#names.add(table)
    await this.#keep(boot, table)
  }

  /** Puts the end of this node's tables off again. */
  keep({ boot }: Run): void {
    for (const table of this.#names) this.#keep(boot, table).catch(() => {})
  }

  // A table is deleted with its node; should nobody ever see that node's end, Redis itself clears it away.
  async #keep(boot: string, table: string): Promise<void> {
    await this.#writes.command('pexpire', this.#writers.keys.table(this.#node, boot, table), [tableLifeMs])
  }

  /** Deletes what a node has left: its tables, of the names that this one knows, and its inbox. */
  async clear({ name, boot }: Pick<Node, 'name' | 'boot'>): Promise<void> {
    const { keys } = this.#writers
    const left = [keys.inbox(name, boot), ...[...this.#names].map(table => keys.table(name, boot, table))]
    await Promise.all(left.map(key => this.#writes.command('del', key, [])))
  }

  async *rows({ name, boot }: Node, table: string): AsyncIterable<readonly [key: string, value: Buffer]> {
    const { link, keys } = this.#writers
    const hash = keys.table(name, boot, table)
    let cursor = '0'
    do {
      const [reply] = await link.send(hash, [['hscan', hash, cursor, 'count', rowsPerPage]], false)
      if (reply instanceof Error) throw reply
      const [next, list] = reply as [Buffer, Buffer[]]
      cursor = next.toString()
      for (let i = 0; i < list.length; i += 2) yield [list[i]!.toString(), list[i + 1]!]
    } while (cursor !== '0')
  }

  async deleteRow({ name, boot }: Node, table: string, key: string): Promise<boolean> {
    return (await this.#writes.command('hdel', this.#writers.keys.table(name, boot, table), [key])) === 1
  }
}
