import type { Clock } from '../../core/time/clock.ts'
import type { ParkedMessage, ParkedMessages } from './services/bridge-target.ts'
import type { DurableQueue } from './services/queues.ts'
import { StoredFormatError } from './stored-message.ts'

const format = 1
// Rows, and bytes of them, that are worked on in one turn.
const pageRows = 200
const pageBytes = 1024 * 1024
const whyMax = 1000

/** How parked messages are written and shown. Times in a row are `clockShift` milliseconds ahead of the broker's clock. */
export interface ParkedCodec<Parcel> {
  /** A message as its lane's queue on disk has it. */
  encode(parcel: Parcel, clockShift: number): Buffer
  /** What `page` says of such a row. Nobody changes the row afterwards. */
  show(row: Buffer, clockShift: number): Pick<ParkedMessage, 'topic' | 'mqttTopic' | 'clientId' | 'payload'>
}

/** Of one target: messages that it refused though they had been acknowledged, each with its lane and why, in a queue on disk. */
export class ParkedOnDisk<Parcel> implements ParkedMessages {
  readonly #queue: DurableQueue
  readonly #clock: Clock
  readonly #codec: ParkedCodec<Parcel>
  readonly #takeBack: (lane: string, row: Buffer) => boolean
  // Rows up to here are gone, though the disk may still show some of them.
  #from: number
  #last: Promise<unknown>
  /** How many were parked since the start. */
  parked: number
  /** How many found no room since the start. */
  full: number

  /** `takeBack`: puts what `codec.encode` made into a lane; false where it has no room. */
  constructor(queue: DurableQueue, clock: Clock, codec: ParkedCodec<Parcel>, takeBack: (lane: string, row: Buffer) => boolean) {
    this.#queue = queue
    this.#clock = clock
    this.#codec = codec
    this.#takeBack = takeBack
    this.#from = 0
    this.#last = Promise.resolve()
    this.parked = 0
    this.full = 0
  }

  /** How many there are. */
  get length(): number {
    return this.#queue.length
  }

  /** Bytes that they take. */
  get bytes(): number {
    return this.#queue.bytes
  }

  /** Keeps a message; false where there is no room for it, or the disk takes none. */
  park(lane: string, parcel: Parcel, why: string): boolean {
    try {
      this.#queue.append(encodeRow(lane, this.#clock.now(), why, this.#codec.encode(parcel, this.#queue.clockShift ?? 0)))
    } catch {
      this.full += 1
      return false
    }
    this.parked += 1
    return true
  }

  /** The oldest behind a position, at most so many; `after` 0: from the first on. */
  page(after: number, limit: number): ParkedMessage[] {
    return this.#queue.page(Math.max(after, this.#from), limit, pageBytes).map(({ position, row }) => {
      const { at, why, parcel } = decodeRow(row)
      return { position, at, why, ...this.#codec.show(Buffer.from(parcel), this.#queue.clockShift ?? 0) }
    })
  }

  /** Puts those that are parked now back into their lanes, while there is room. Resolves to how many. */
  resend(): Promise<number> {
    return this.#each(({ lane, parcel }) => this.#takeBack(lane, Buffer.from(parcel)))
  }

  /** Forgets those that are parked now. Resolves to how many there were. */
  drop(): Promise<number> {
    return this.#each(() => true)
  }

  // One at a time.
  #each(done: (row: ParkedRow) => boolean): Promise<number> {
    const counted = this.#last.then(() => this.#through(done))
    this.#last = counted.catch(() => {})
    return counted
  }

  // What is parked again meanwhile stands behind the last, and is left alone.
  async #through(done: (row: ParkedRow) => boolean): Promise<number> {
    const queue = this.#queue
    const { last } = queue
    let count = 0
    await queue.kept()
    for (;;) {
      const rows = queue.page(this.#from, pageRows, pageBytes)
      for (const { position, row } of rows) {
        if (position > last) return count
        if (!done(decodeRow(row))) return count
        queue.remove(position, row.length)
        count += 1
        this.#from = position
      }
      if (rows.length === 0) return count
      // One page a turn; what it did is on the disk before the next.
      await queue.kept()
    }
  }
}

interface ParkedRow {
  readonly lane: string
  readonly at: number
  readonly why: string
  readonly parcel: Buffer
}

function encodeRow(lane: string, at: number, why: string, parcel: Buffer): Buffer {
  const laneBytes = Buffer.from(lane)
  const whyBytes = Buffer.from(why.slice(0, whyMax))
  const head = Buffer.alloc(13)
  head[0] = format
  head.writeDoubleBE(at, 1)
  head.writeUInt16BE(laneBytes.length, 9)
  head.writeUInt16BE(whyBytes.length, 11)
  return Buffer.concat([head, laneBytes, whyBytes, parcel])
}

function decodeRow(row: Buffer): ParkedRow {
  if (row[0] !== format) throw new StoredFormatError('a newer version has parked this message of the bridge')
  const whyFrom = 13 + row.readUInt16BE(9)
  const parcelFrom = whyFrom + row.readUInt16BE(11)
  return {
    at: row.readDoubleBE(1),
    lane: row.toString('utf8', 13, whyFrom),
    why: row.toString('utf8', whyFrom, parcelFrom),
    parcel: row.subarray(parcelFrom),
  }
}
