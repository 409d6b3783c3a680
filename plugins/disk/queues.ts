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

// A position is its segment's number times this, and its place in it.
const rowsMax = 4096
const segmentBytes = 128 * 1024
const segmentHead = 2
const rowHead = 4
// What comes in front of everything needs positions too: counting begins far from zero.
const firstSegment = 2 ** 28
// What a row counts for besides its bytes.
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

/** Rows that were appended in one turn lie in one row of the database: a put and a removal for each would cost ten times as much. */
interface Segment {
  rows: number
  /** Rows that were not taken out yet. */
  left: number
  /** It is in the database, or on its way there. */
  written: boolean
}

class DiskQueue implements DurableQueue {
  readonly #database: Database
  readonly #commit: GroupCommit
  readonly #number: number
  readonly #bytesMax: number
  readonly #segments: Map<number, Segment>
  // The segment that gathers, and what is in it.
  #open: Segment | null
  #openNumber: number
  #rows: Buffer[]
  #rowBytes: number
  #first: number
  #lastSegment: number
  last: number
  length: number
  bytes: number

  constructor(database: Database, commit: GroupCommit, number: number, bytesMax: number) {
    this.#database = database
    this.#commit = commit
    this.#number = number
    this.#bytesMax = bytesMax
    this.#segments = new Map()
    this.#open = null
    this.#openNumber = 0
    this.#rows = []
    this.#rowBytes = 0
    this.#first = firstSegment
    this.#lastSegment = firstSegment
    this.last = 0
    this.length = 0
    this.bytes = 0
    for (const { key, value } of database.range(this.#key(0), this.#end())) {
      const segment = readNumber(key, 5)
      const rows = value.readUInt16BE(0)
      this.#segments.set(segment, { rows, left: rows, written: true })
      if (this.length === 0) this.#first = segment
      this.#lastSegment = segment
      this.last = segment * rowsMax + rows - 1
      this.length += rows
      this.bytes += value.length - segmentHead + rows * (rowOverhead - rowHead)
    }
    commit.beforeBatch(() => this.#close())
  }

  fits(bytes: number): boolean {
    return this.bytes + bytes + rowOverhead <= this.#bytesMax
  }

  append(row: Buffer): number {
    this.#admit(row)
    if (this.#open === null) {
      this.#lastSegment += 1
      this.#openNumber = this.#lastSegment
      this.#open = { rows: 0, left: 0, written: false }
      this.#segments.set(this.#openNumber, this.#open)
    }
    const open = this.#open
    this.last = this.#openNumber * rowsMax + open.rows
    open.rows += 1
    open.left += 1
    this.#count(row)
    this.#rows.push(row)
    this.#rowBytes += row.length
    if (open.rows === rowsMax || this.#rowBytes > segmentBytes) this.#close()
    return this.last
  }

  prepend(row: Buffer): number {
    this.#admit(row)
    this.#first -= 1
    const position = this.#first * rowsMax
    if (this.last === 0) this.last = position
    this.#segments.set(this.#first, { rows: 1, left: 1, written: true })
    this.#count(row)
    this.#commit.put(this.#key(this.#first), encodeSegment([row], row.length))
    return position
  }

  kept(): Promise<void> {
    return this.#commit.kept()
  }

  page(after: number, limit: number, bytesMax: number): QueuedRow[] {
    const found: QueuedRow[] = []
    let bytes = 0
    for (const { key, value } of this.#database.range(this.#key(Math.floor((after + 1) / rowsMax)), this.#end())) {
      const segment = readNumber(key, 5)
      const rows = value.readUInt16BE(0)
      let at = segmentHead
      for (let index = 0; index < rows; index++) {
        const start = at + rowHead
        at = start + value.readUInt32BE(at)
        const position = segment * rowsMax + index
        if (position <= after) continue
        bytes += at - start
        if (found.length === limit || (found.length > 0 && bytes > bytesMax)) return found
        found.push({ position, row: value.subarray(start, at) })
      }
    }
    return found
  }

  remove(position: number, bytes: number): void {
    this.length -= 1
    this.bytes -= bytes + rowOverhead
    const number = Math.floor(position / rowsMax)
    const segment = this.#segments.get(number)!
    segment.left -= 1
    if (segment.left > 0 || segment === this.#open) return
    this.#segments.delete(number)
    if (segment.written) this.#commit.remove(this.#key(number))
  }

  /** Hands what has gathered to the commit. */
  #close(): void {
    const open = this.#open
    if (open === null) return
    // What nobody waits for any more need not be written.
    if (open.left > 0) {
      this.#commit.put(this.#key(this.#openNumber), encodeSegment(this.#rows, this.#rowBytes))
      open.written = true
    } else this.#segments.delete(this.#openNumber)
    this.#open = null
    this.#rows = []
    this.#rowBytes = 0
  }

  #admit(row: Buffer): void {
    const refusal = this.#commit.refusalOfNew
    if (refusal !== null) throw refusal
    if (!this.fits(row.length)) throw new StoreFullError('the queue on disk is full')
  }

  #count(row: Buffer): void {
    this.length += 1
    this.bytes += row.length + rowOverhead
  }

  #key(segment: number): Buffer {
    const key = Buffer.allocUnsafe(11)
    key[0] = Kind.Row
    key.writeUInt32BE(this.#number, 1)
    writeNumber(key, segment, 5)
    return key
  }

  #end(): Buffer {
    const key = Buffer.allocUnsafe(5)
    key[0] = Kind.Row
    key.writeUInt32BE(this.#number + 1, 1)
    return key
  }
}

/** How many rows, then each behind its length. */
function encodeSegment(rows: readonly Buffer[], bytes: number): Buffer {
  const value = Buffer.allocUnsafeSlow(segmentHead + rows.length * rowHead + bytes)
  value.writeUInt16BE(rows.length)
  let at = segmentHead
  for (const row of rows) {
    at = value.writeUInt32BE(row.length, at)
    value.set(row, at)
    at += row.length
  }
  return value
}
