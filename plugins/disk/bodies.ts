import type { Log } from '../../core/log.ts'
import type { Message } from '../../core/messages/message.ts'
import type { CheckedRows } from './checked-rows.ts'
import type { FolderTime } from './folder-time.ts'
import type { GroupCommit } from './group-commit.ts'
import { Kind, numberKey } from './keys.ts'
import { readMessage } from './read-stored.ts'
import { countBytes, countBytesOf, encodeCount, readCount, writeCount } from './records.ts'

interface Body {
  left: number
  // A row says how many are left; before, the body itself does.
  counted: boolean
  // The batch in which this was last true.
  batch: number
  dirty: boolean
}

const what = 'a message that waits in several queues'
// Bodies whose counts are held here; of others they are read when they are needed.
const cachedMax = 10_000

/** Bytes in front of a body that say how many refer to it at first. */
export const bodyHeadBytes = countBytes

/**
 * Messages that wait in several queues, stored once. Each counts who still refers to it, and goes with the last; the count changes in
 * the same batch as the reference, however the broker ends.
 */
export class Bodies {
  readonly #database: CheckedRows
  readonly #commit: GroupCommit
  readonly #time: FolderTime
  readonly #log: Log
  readonly #cached = new Map<number, Body>()
  #dirty: number[] = []

  constructor(database: CheckedRows, commit: GroupCommit, time: FolderTime, log: Log) {
    this.#database = database
    this.#commit = commit
    this.#time = time
    this.#log = log
    commit.beforeBatch(() => this.#writeCounts())
  }

  /** Keeps a body, whose first bytes are left for this. */
  put(position: number, body: Buffer, references: number): void {
    writeCount(body, references)
    this.#commit.put(numberKey(Kind.Body, position), body)
    this.#cache(position, { left: references, counted: false, batch: this.#commit.batch, dirty: false })
  }

  /** The message; `undefined` where the store has lost it. */
  read(position: number): Message | undefined {
    const body = this.#database.get(numberKey(Kind.Body, position))
    return body === undefined ? undefined : readMessage(this.#log, body.subarray(countBytesOf(body, what)), this.#time.shift)
  }

  /** One that referred to it has gone. */
  release(position: number): void {
    const body = this.#cached.get(position) ?? this.#load(position)
    if (body === null) return
    body.left -= 1
    body.batch = this.#commit.batch
    if (body.dirty) return
    body.dirty = true
    this.#dirty.push(position)
  }

  // Once a batch for each body, however many of its references went in it.
  #writeCounts(): void {
    const dirty = this.#dirty
    this.#dirty = []
    for (const position of dirty) {
      const body = this.#cached.get(position)!
      body.dirty = false
      if (body.left > 0) {
        this.#commit.put(numberKey(Kind.References, position), encodeCount(body.left))
        body.counted = true
      } else {
        this.#commit.remove(numberKey(Kind.Body, position))
        if (body.counted) this.#commit.remove(numberKey(Kind.References, position))
        this.#cached.delete(position)
      }
    }
  }

  #load(position: number): Body | null {
    const countKey = numberKey(Kind.References, position)
    const counted = this.#database.get(countKey)
    // A count that is damaged may be too small: the message stays where it is.
    if (counted === undefined && this.#database.sizeOf(countKey) !== undefined) return null
    const count = counted ?? this.#database.get(numberKey(Kind.Body, position))
    if (count === undefined) return null
    const body = { left: readCount(count, what), counted: counted !== undefined, batch: 0, dirty: false }
    this.#cache(position, body)
    return body
  }

  #cache(position: number, body: Body): void {
    this.#cached.set(position, body)
    if (this.#cached.size <= cachedMax) return
    // The oldest go, unless the disk does not say yet what they say.
    for (const [oldest, { batch, dirty }] of this.#cached) {
      if (dirty || batch > this.#commit.committed || oldest === position) break
      this.#cached.delete(oldest)
      if (this.#cached.size <= cachedMax) break
    }
  }
}
