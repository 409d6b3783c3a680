import type { Message } from '../../core/messages/message.ts'
import { encodeMessage } from '../../core/messages/stored-message.ts'
import type { RetainedCursor, RetainedPage, RetainedStore } from '../../core/routing/retained.ts'
import type { Clock } from '../../core/time/clock.ts'
import { DecodedMessages } from './decoded-messages.ts'
import { isWholeTopic, retainedKey, singleKey } from './keys.ts'
import { readMessage } from './read-stored.ts'
import { decodeValue, encodeValue } from './records.ts'
import { RetainedWalk } from './retained-walk.ts'
import type { StoreParts } from './store-parts.ts'

const sizeKey = singleKey(2)
// What readers that ask for the same at the same time are apart by, and more.
const decodedMax = 4_194_304

interface PendingChange {
  readonly present: boolean
  readonly batch: number
}

/** The `retained` service on disk: only what is on its way there is held in memory. */
export class DiskRetained implements RetainedStore {
  readonly #clock: Clock
  // Given by `attach`, when the disk has been opened.
  #parts!: StoreParts
  #size = 0
  #sizeOnDisk = 0
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
    this.#size = this.#sizeOnDisk = decodeValue(parts.database.get(sizeKey), 'the number of retained messages')
    parts.commit.beforeBatch(() => {
      if (this.#size === this.#sizeOnDisk) return
      this.#sizeOnDisk = this.#size
      parts.commit.put(sizeKey, encodeValue(this.#size))
    })
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
    const present = this.#has(topic, key)
    if (isRemoval && !present) return commit.kept()
    if (isRemoval) this.#remove(topic, key)
    else {
      this.#decoded.delete(topic)
      commit.put(key, encodeMessage(message, 0, false, this.#parts.time.shift))
      this.#changed(topic, true)
      if (!present) this.#size += 1
    }
    return commit.kept()
  }

  match(filter: string): RetainedCursor {
    const walk = new RetainedWalk(this.#parts.database, filter)
    return {
      next: limit => {
        const { commit } = this.#parts
        return this.#batch > commit.committed ? commit.settled(this.#batch).then(() => this.#page(walk, limit)) : this.#page(walk, limit)
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
      else if (this.#pending.get(message.topic) === undefined) this.#remove(message.topic, key)
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

  #has(topic: string, key: Buffer): boolean {
    const pending = this.#pending.get(topic)
    return pending !== undefined && pending.batch > this.#parts.commit.committed ? pending.present : this.#parts.database.has(key)
  }

  #remove(topic: string, key: Buffer): void {
    this.#decoded.delete(topic)
    this.#parts.commit.remove(key)
    this.#changed(topic, false)
    this.#size -= 1
  }

  #changed(topic: string, present: boolean): void {
    const { batch, committed } = this.#parts.commit
    // In the order of their batches, so that those that are on disk stand first.
    this.#pending.delete(topic)
    for (const [settled, pending] of this.#pending) {
      if (pending.batch > committed) break
      this.#pending.delete(settled)
    }
    this.#pending.set(topic, { present, batch })
    this.#batch = batch
  }
}
