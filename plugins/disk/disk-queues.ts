import { OperatorError } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'
import type { OptionsOf } from '../../core/options/options.ts'
import { StoreFullError } from '../../core/sessions/session-store.ts'
import type { Clock } from '../../core/time/clock.ts'
import type { DurableQueue, QueuedRow, Queues } from '../kit/services/queues.ts'
import type { RowStores } from '../kit/services/row-store.ts'
import { SystemClock } from '../kit/system-clock.ts'
import type { CheckedRows } from './checked-rows.ts'
import { DamagedRows } from './damaged-rows.ts'
import type { diskQueueManifest } from './disk-queue-manifest.ts'
import { Folder } from './folder.ts'
import type { FolderTime } from './folder-time.ts'
import { formatOf } from './format.ts'
import type { GroupCommit } from './group-commit.ts'
import { readNumber, writeNumber } from './keys.ts'
import { lmdbStores } from './lmdb-stores.ts'
import { countBytes, encodeCount, readCount, writeCount } from './records.ts'
import { nameQueueRow } from './row-names.ts'

/** The kinds of rows: names of queues, and what lies in them. */
const Kind = { Name: 0x4e, Row: 0x51 } as const

// A position is its segment's number times this, and its place in it.
const rowsMax = 4096
const segmentBytes = 128 * 1024
const rowHead = 4
const segment = 'a part of a queue'
// What comes in front of everything needs positions too: counting begins far from zero.
const firstSegment = 2 ** 28
// What a row counts for besides its bytes.
const rowOverhead = 24

/** Named queues in one database; all writes of a turn of the event loop are one synced commit. */
export class DiskQueues implements Queues {
  readonly #options: OptionsOf<typeof diskQueueManifest.options>
  readonly #log: Log
  readonly #clock: Clock
  #folder: Folder | null
  readonly #queues: Map<string, DiskQueue>
  readonly #numbers: Map<string, number>
  #lastNumber: number
  /** What is damaged in the folder. */
  readonly damage: DamagedRows

  constructor(options: OptionsOf<typeof diskQueueManifest.options>, log: Log, clock: Clock = new SystemClock()) {
    this.#options = options
    this.#log = log
    this.#clock = clock
    this.#folder = null
    this.#queues = new Map()
    this.#numbers = new Map()
    this.#lastNumber = 0
    this.damage = new DamagedRows(log, clock, { plugin: 'diskQueue', path: options.path }, nameQueueRow)
  }

  async start(stores: RowStores = lmdbStores): Promise<void> {
    const options = { ...this.#options, plugin: 'diskQueue', kind: 'mqttx-broker queues' }
    const folder = await Folder.open(stores, options, this.damage, this.#log, this.#clock)
    await folder.read(() => {
      for (const { key, value } of folder.database.range(Buffer.from([Kind.Name]), Buffer.from([Kind.Name + 1]))) {
        const number = readCount(value, 'the number of a queue')
        this.#numbers.set(key.toString('utf8', 1), number)
        this.#lastNumber = Math.max(this.#lastNumber, number)
      }
      // Where the row that says a queue's number is damaged, no other queue may get that number, and what lies in it.
      for (let [key] = this.#rowsFrom(folder); key !== undefined; [key] = this.#rowsFrom(folder)) this.#lastNumber = key.readUInt32BE(1)
    })
    this.#folder = folder
    this.#log.info(`queues are kept in ${this.#options.path}`)
  }

  #rowsFrom({ database }: Folder): Buffer[] {
    const start = Buffer.allocUnsafe(5)
    start[0] = Kind.Row
    start.writeUInt32BE(this.#lastNumber + 1, 1)
    return [...database.keys(start, Buffer.from([Kind.Row + 1]), 1)]
  }

  /** The folder, while it is open; an `OperatorError` where it is not. */
  get folder(): Folder {
    if (this.#folder === null)
      throw new OperatorError('ERR_DISK_COPY', 'diskQueue: the folder is not open; ask once the broker has started')
    return this.#folder
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
    const { database, commit, time } = this.#folder
    let number = this.#numbers.get(name)
    if (number === undefined) {
      number = this.#lastNumber + 1
      this.#lastNumber = number
      this.#numbers.set(name, number)
      commit.put(Buffer.concat([Buffer.from([Kind.Name]), Buffer.from(name)]), encodeCount(number))
    }
    const queue = new DiskQueue(database, commit, time, number, bytesMax)
    this.#queues.set(name, queue)
    return queue
  }

  names(): string[] {
    return [...this.#numbers.keys()]
  }
}

/** Rows that were appended in one turn are one segment, one row of the database: a put and a removal for each would cost ten times as much. */
class DiskQueue implements DurableQueue {
  readonly #database: CheckedRows
  readonly #commit: GroupCommit
  readonly #time: FolderTime
  readonly #number: number
  readonly #bytesMax: number
  // Of each segment, how many rows were not taken out yet.
  readonly #left: Map<number, number>
  // What has gathered for the last segment; none: that is closed.
  #rows: Buffer[]
  #rowBytes: number
  #first: number
  #lastSegment: number
  last: number
  length: number
  bytes: number

  constructor(database: CheckedRows, commit: GroupCommit, time: FolderTime, number: number, bytesMax: number) {
    this.#database = database
    this.#commit = commit
    this.#time = time
    this.#number = number
    this.#bytesMax = bytesMax
    this.#left = new Map()
    this.#rows = []
    this.#rowBytes = 0
    this.#first = firstSegment
    this.#lastSegment = firstSegment
    this.last = 0
    this.length = 0
    this.bytes = 0
    for (const { key, value } of database.range(this.#key(0), this.#end())) {
      const segment = readNumber(key, 5)
      const { head, rows } = segmentHead(value)
      this.#left.set(segment, rows)
      if (this.length === 0) this.#first = segment
      this.#lastSegment = segment
      this.last = segment * rowsMax + rows - 1
      this.length += rows
      this.bytes += value.length - head + rows * (rowOverhead - rowHead)
    }
    commit.beforeBatch(() => this.#close())
  }

  get clockShift(): number {
    return this.#time.shift
  }

  fits(bytes: number): boolean {
    return this.bytes + bytes + rowOverhead <= this.#bytesMax
  }

  everFits(bytes: number): boolean {
    return bytes + rowOverhead <= this.#bytesMax
  }

  append(row: Buffer): number {
    this.#admit(row)
    if (this.#rows.length === 0) this.#lastSegment += 1
    this.last = this.#lastSegment * rowsMax + this.#rows.length
    this.#rows.push(row)
    this.#rowBytes += row.length
    this.#count(this.#lastSegment, row)
    if (this.#rows.length === rowsMax || this.#rowBytes > segmentBytes) this.#close()
    return this.last
  }

  prepend(row: Buffer): number {
    this.#admit(row)
    this.#first -= 1
    const position = this.#first * rowsMax
    if (this.last === 0) this.last = position
    this.#count(this.#first, row)
    this.#commit.put(this.#key(this.#first), encodeSegment([row], row.length))
    return position
  }

  kept(): Promise<void> {
    return this.#commit.kept()
  }

  page(after: number, limit: number, bytesMax: number): QueuedRow[] {
    const found: QueuedRow[] = []
    let bytes = 0
    for (const { key, value } of this.#database.found(this.#key(Math.floor((after + 1) / rowsMax)), this.#end())) {
      const segment = readNumber(key, 5)
      if (value === null) {
        this.#lose(segment, key)
        continue
      }
      const { head, rows } = segmentHead(value)
      let at = head
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
    const left = this.#left.get(number)! - 1
    this.#left.set(number, left)
    const gathers = this.#rows.length > 0 && number === this.#lastSegment
    if (left > 0 || gathers) return
    this.#left.delete(number)
    this.#commit.remove(this.#key(number))
  }

  // A part that was whole when the queue was opened is not any more.
  #lose(segment: number, key: Buffer): void {
    const left = this.#left.get(segment)
    if (left === undefined) return
    this.#left.delete(segment)
    this.length -= left
    const bytes = (this.#database.sizeOf(key) ?? 0) - countBytes + left * (rowOverhead - rowHead)
    this.bytes = this.length === 0 ? 0 : Math.max(0, this.bytes - bytes)
  }

  /** Hands what has gathered to the commit. */
  #close(): void {
    if (this.#rows.length === 0) return
    // What nobody waits for any more need not be written.
    if (this.#left.get(this.#lastSegment) === 0) this.#left.delete(this.#lastSegment)
    else this.#commit.put(this.#key(this.#lastSegment), encodeSegment(this.#rows, this.#rowBytes))
    this.#rows = []
    this.#rowBytes = 0
  }

  #admit(row: Buffer): void {
    const refusal = this.#commit.refusalOfNew
    if (refusal !== null) throw refusal
    if (!this.fits(row.length)) throw new StoreFullError('the queue on disk is full')
  }

  #count(segment: number, row: Buffer): void {
    this.#left.set(segment, (this.#left.get(segment) ?? 0) + 1)
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

/** How many rows a segment has, and how many bytes say so: in format 1 two. */
function segmentHead(value: Buffer): { readonly head: number; readonly rows: number } {
  if (formatOf(value, segment) === 1) return { head: 2, rows: value.readUInt16BE(0) }
  return { head: countBytes, rows: readCount(value, segment) }
}

/** How many rows, then each behind its length. */
function encodeSegment(rows: readonly Buffer[], bytes: number): Buffer {
  const value = Buffer.allocUnsafeSlow(countBytes + rows.length * rowHead + bytes)
  writeCount(value, rows.length)
  let at = countBytes
  for (const row of rows) {
    at = value.writeUInt32BE(row.length, at)
    value.set(row, at)
    at += row.length
  }
  return value
}
