import type { Message } from '../../core/messages/message.ts'
import type { Clock } from '../../core/time/clock.ts'
import type { RetainedCursor, RetainedPage, RetainedStore } from '../kit/services/retained.ts'
import { encodeMessage } from '../kit/stored-message.ts'
import { answer } from './answers.ts'
import type { CheckedRows } from './checked-rows.ts'
import { DecodedMessages } from './decoded-messages.ts'
import { isWholeTopic, Kind, retainedKey, singleKey } from './keys.ts'
import { readMessage } from './read-stored.ts'
import { decodeValue, encodeValue } from './records.ts'
import { RetainedWalk } from './retained-walk.ts'
import type { StoreParts } from './store-parts.ts'

export const sizeKey = singleKey(2)
// What readers that ask for the same at the same time are apart by, and more.
const decodedMax = 4_194_304
export const bytesKey = singleKey(5)

interface PendingChange {
  /** Of the message; 0: there is none. */
  readonly bytes: number
  readonly batch: number
}

/** The `retained` service on disk: only what is on its way there is held in memory. */
export class DiskRetained implements RetainedStore {
  readonly #clock: Clock
  // Given by `attach`, when the disk has been opened.
  #parts!: StoreParts
  #size = 0
  #sizeOnDisk = 0
  #bytes = 0
  // Topics whose messages the disk still shows as they were before.
  readonly #pending = new Map<string, PendingChange>()
  #batch = 0
  #decoded = new DecodedMessages(decodedMax)
  // What they were decoded with.
  #shift = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Takes up what the disk has; before anything else. */
  attach(parts: StoreParts): void {
    this.#parts = parts
    const [size, bytes] = [parts.database.get(sizeKey), parts.database.get(bytesKey)]
    const isCounted = size !== undefined && bytes !== undefined
    // An older version did not count their bytes, a damaged row counts nothing, and the first message has yet to come.
    const counted = isCounted ? null : countAll(parts.database)
    this.#size = counted?.size ?? decodeValue(size, 'the number of retained messages')
    this.#sizeOnDisk = size === undefined ? 0 : this.#size
    this.#bytes = counted?.bytes ?? decodeValue(bytes, 'the bytes of retained messages')
    let bytesOnDisk = bytes === undefined ? -1 : this.#bytes
    parts.commit.beforeBatch(() => {
      if (this.#bytes !== bytesOnDisk) {
        bytesOnDisk = this.#bytes
        parts.commit.put(bytesKey, encodeValue(this.#bytes))
      }
      if (this.#size === this.#sizeOnDisk) return
      this.#sizeOnDisk = this.#size
      parts.commit.put(sizeKey, encodeValue(this.#size))
    })
  }

  get bytes(): number {
    return this.#bytes
  }

  has(topic: string): boolean {
    return this.#bytesOf(topic, retainedKey(topic)) > 0
  }

  get size(): number {
    return this.#size
  }

  set(message: Message): Promise<void> {
    const { commit } = this.#parts
    const isRemoval = message.payloadLength === 0 // [MQTT-3.3.1-6]
    const refusal = isRemoval ? commit.refusal : commit.refusalOfNew
    if (refusal !== null) return Promise.reject(refusal)
    const { topic } = message
    const key = retainedKey(topic)
    const before = this.#bytesOf(topic, key)
    if (isRemoval && before === 0) return commit.kept()
    if (isRemoval) this.#remove(topic, key, before)
    else {
      const body = encodeMessage(message, 0, false, this.#parts.time.shift)
      this.#decoded.delete(topic)
      commit.put(key, body)
      this.#changed(topic, body.length)
      this.#bytes += body.length - before
      if (before === 0) this.#size += 1
    }
    return commit.kept()
  }

  match(filter: string): RetainedCursor {
    const walk = new RetainedWalk(this.#parts.database, filter)
    return {
      next: limit => {
        const { commit } = this.#parts
        return this.#batch > commit.committed
          ? commit.settled(this.#batch).then(() => this.#page(walk, limit))
          : answer(() => this.#page(walk, limit))
      },
    }
  }

  #page(walk: RetainedWalk, limit: number): RetainedPage {
    const { rows, done } = walk.next(limit)
    const now = this.#clock.now()
    const { shift } = this.#parts.time
    // The machine slept: what was decoded before would seem to have as long to live as then.
    if (shift !== this.#shift) this.#decoded = new DecodedMessages(decodedMax)
    this.#shift = shift
    const messages: Message[] = []
    for (const key of rows) {
      const message = this.#read(key)
      if (message === null) continue
      if (message.expiresAt > now) messages.push(message)
      // Nobody need know when it is gone from the disk; and it may have been set again meanwhile.
      else if (this.#pending.get(message.topic) === undefined) this.#remove(message.topic, key, this.#bytesOf(message.topic, key))
    }
    return { messages, done }
  }

  #read(key: Buffer): Message | null {
    // The key of a very long topic does not hold all of it.
    const topic = isWholeTopic(key) ? key.toString('utf8', 1).replaceAll('\0', '/') : null
    const known = topic === null ? undefined : this.#decoded.get(topic)
    if (known !== undefined) return known
    const { database, commit } = this.#parts
    const value = database.get(key)
    if (value === undefined) return null
    const message = readMessage(this.#parts.log, value, this.#shift)
    if (message === undefined) return null
    const pending = this.#pending.get(message.topic)
    // What the disk still shows as it was before is not to be found here afterwards.
    if (topic !== null && (pending === undefined || pending.batch <= commit.committed)) this.#decoded.set(message)
    return message
  }

  #bytesOf(topic: string, key: Buffer): number {
    const pending = this.#pending.get(topic)
    if (pending !== undefined && pending.batch > this.#parts.commit.committed) return pending.bytes
    return this.#parts.database.sizeOf(key) ?? 0
  }

  #remove(topic: string, key: Buffer, bytes: number): void {
    this.#decoded.delete(topic)
    this.#parts.commit.remove(key)
    this.#changed(topic, 0)
    this.#size -= 1
    this.#bytes -= bytes
  }

  #changed(topic: string, bytes: number): void {
    const { batch, committed } = this.#parts.commit
    // In the order of their batches, so that those that are on disk stand first.
    this.#pending.delete(topic)
    for (const [settled, pending] of this.#pending) {
      if (pending.batch > committed) break
      this.#pending.delete(settled)
    }
    this.#pending.set(topic, { bytes, batch })
    this.#batch = batch
  }
}

function countAll(database: CheckedRows): { readonly size: number; readonly bytes: number } {
  let [size, bytes] = [0, 0]
  for (const { key, value } of database.found(Buffer.from([Kind.Retained]), Buffer.from([Kind.Retained + 1]))) {
    size += 1
    bytes += value?.length ?? database.sizeOf(key) ?? 0
  }
  return { size, bytes }
}
