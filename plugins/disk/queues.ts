import type { DurableQueue, QueuedRow, Queues } from '../../core/bridging/queues.ts'
import type { OptionsOf } from '../../core/config/options.ts'
import type { Log } from '../../core/log.ts'
import { StoreFullError } from '../../core/sessions/session-store.ts'
import type { Database } from './database.ts'
import { Folder } from './folder.ts'
import type { GroupCommit } from './group-commit.ts'
import { readNumber, writeNumber } from './keys.ts'
import type { diskQueueOptions } from './queue-options.ts'

/** The kinds of rows: names of queues, and what lies in them. */
const Kind = { Name: 0x4e, Row: 0x51 } as const

// Rows that come in front of all others need positions too: counting begins far from zero.
const firstPosition = 2 ** 40
// What a row costs on disk besides its bytes: its key and its place in the page.
const rowOverhead = 24

/** Named queues in one database; all writes of a turn of the event loop are one synced commit. */
export class DiskQueues implements Queues {
  readonly #options: OptionsOf<typeof diskQueueOptions>
  readonly #log: Log
  #folder: Folder | null
  readonly #queues: Map<string, DiskQueue>
  #numbers: Map<string, number>

  constructor(options: OptionsOf<typeof diskQueueOptions>, log: Log) {
    this.#options = options
    this.#log = log
    this.#folder = null
    this.#queues = new Map()
    this.#numbers = new Map()
  }

  async start(): Promise<void> {
    this.#folder = await Folder.open({ ...this.#options, plugin: 'diskQueue', format: 'mqttx-broker queues 1' }, this.#log)
    for (const { key, value } of this.#folder.database.range(Buffer.from([Kind.Name]), Buffer.from([Kind.Name + 1]))) {
      this.#numbers.set(key.toString('utf8', 1), value.readUInt32BE(0))
    }
    await this.#folder.commit.kept()
    this.#log.info(`queues are kept in ${this.#options.path}`)
  }

  async stop(): Promise<void> {
    const folder = this.#folder
    this.#folder = null
    await folder?.close()
  }

  open(name: string, bytesMax: number): DurableQueue {
    const known = this.#queues.get(name)
    if (known !== undefined) return known
    if (this.#folder === null) throw new Error('the service queue opens queues from start on')
    const { database, commit } = this.#folder
    let number = this.#numbers.get(name)
    if (number === undefined) {
      number = Math.max(0, ...this.#numbers.values()) + 1
      this.#numbers.set(name, number)
      const value = Buffer.allocUnsafe(4)
      value.writeUInt32BE(number)
      commit.put(Buffer.concat([Buffer.from([Kind.Name]), Buffer.from(name)]), value)
    }
    const queue = new DiskQueue(database, commit, number, bytesMax)
    this.#queues.set(name, queue)
    return queue
  }

  names(): string[] {
    return [...this.#numbers.keys()]
  }
}

class DiskQueue implements DurableQueue {
  readonly #database: Database
  readonly #commit: GroupCommit
  readonly #number: number
  readonly #bytesMax: number
  #first: number
  last: number
  length: number
  bytes: number

  constructor(database: Database, commit: GroupCommit, number: number, bytesMax: number) {
    this.#database = database
    this.#commit = commit
    this.#number = number
    this.#bytesMax = bytesMax
    this.#first = firstPosition
    this.last = 0
    this.length = 0
    this.bytes = 0
    // 1 µs a row, once a start: a count that is kept beside the rows would have to be written with each of them.
    for (const { key, value } of database.range(this.#key(0), this.#end())) {
      this.last = readNumber(key, 5)
      if (this.length === 0) this.#first = this.last
      this.length += 1
      this.bytes += value.length + rowOverhead
    }
  }

  fits(bytes: number): boolean {
    return this.bytes + bytes + rowOverhead <= this.#bytesMax
  }

  append(row: Buffer): number {
    this.#admit(row)
    this.last = Math.max(this.last, firstPosition) + 1
    this.#put(this.last, row)
    return this.last
  }

  prepend(row: Buffer): number {
    this.#admit(row)
    this.#first -= 1
    if (this.last === 0) this.last = this.#first
    this.#put(this.#first, row)
    return this.#first
  }

  kept(): Promise<void> {
    return this.#commit.kept()
  }

  page(after: number, limit: number, bytesMax: number): QueuedRow[] {
    const rows: QueuedRow[] = []
    let bytes = 0
    for (const { key, value } of this.#database.range(this.#key(after + 1), this.#end(), limit)) {
      bytes += value.length
      if (rows.length > 0 && bytes > bytesMax) break
      rows.push({ position: readNumber(key, 5), row: value })
    }
    return rows
  }

  remove(position: number, bytes: number): void {
    this.#commit.remove(this.#key(position))
    this.length -= 1
    this.bytes -= bytes + rowOverhead
  }

  #admit(row: Buffer): void {
    const refusal = this.#commit.refusalOfNew
    if (refusal !== null) throw refusal
    if (!this.fits(row.length)) throw new StoreFullError('the queue on disk is full')
  }

  #put(position: number, row: Buffer): void {
    this.#commit.put(this.#key(position), row)
    this.length += 1
    this.bytes += row.length + rowOverhead
  }

  #key(position: number): Buffer {
    const key = Buffer.allocUnsafe(11)
    key[0] = Kind.Row
    key.writeUInt32BE(this.#number, 1)
    writeNumber(key, position, 5)
    return key
  }

  #end(): Buffer {
    const key = Buffer.allocUnsafe(5)
    key[0] = Kind.Row
    key.writeUInt32BE(this.#number + 1, 1)
    return key
  }
}
