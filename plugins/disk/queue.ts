import type { Message } from '../../core/messages/message.ts'
import { decodeMessage } from '../../core/messages/stored-message.ts'
import type { AppendTarget, QueueEntry } from '../../core/sessions/session-store.ts'
import { Fifo } from '../kit/fifo.ts'
import type { Row } from './database.ts'
import { entryKey, Kind, numberKey, readNumber, sentKey } from './keys.ts'
import { decodeSent, type EntryHead, encodeSent, entryHeadBytes, readEntryHead, writeEntryHead } from './records.ts'
import type { Rows } from './rows.ts'

/** What is known of an entry without its message. */
interface Reference {
  readonly position: number
  readonly bytes: number
  /** Its message stands in the entry itself, not among the bodies. */
  readonly inline: boolean
  packetId: number
  /** A row behind it says what became of it. */
  sent: boolean
}

interface Fresh {
  readonly reference: Reference
  readonly message: Message
  readonly batch: number
}

// Entries looked at in one go where the oldest have to go.
const oldestPage = 100

/**
 * The queue of one session. Entries lie on disk only; held here is how many there are, what is in flight, and what the disk does not
 * show yet. A queue that is not in use is left out of memory and counted anew when it is needed.
 */
export class Queue {
  readonly #rows: Rows
  readonly #session: number
  /** Entries, in flight or not. */
  messages: number
  /** By `queuedBytes`. */
  bytes: number
  readonly #inflight: Map<number, Reference>
  // Of the last page that was read: what is sent or removed next.
  #paged: Map<number, Reference> | null
  #appendedIn: number
  // What the disk still shows otherwise: positions that were sent, released or removed, the highest of them, and in which batch.
  readonly #changed: Set<number>
  #changedTo: number
  #changedIn: number
  // Where the oldest are dropped: those to come next, and those that are not on the disk yet.
  readonly #oldest: Fifo<number>
  #oldestAfter: number
  readonly #fresh: Fifo<Fresh>

  constructor(rows: Rows, session: number) {
    this.#rows = rows
    this.#session = session
    this.messages = 0
    this.bytes = 0
    this.#inflight = new Map()
    this.#paged = null
    this.#appendedIn = 0
    this.#changed = new Set()
    this.#changedTo = 0
    this.#changedIn = 0
    this.#oldest = new Fifo()
    this.#oldestAfter = 0
    this.#fresh = new Fifo()
  }

  /** Counts what is on disk: 1 µs an entry. All writes to it must be there. */
  static load(rows: Rows, session: number): Queue {
    const queue = new Queue(rows, session)
    for (const { reference } of queue.#read(0, Number.POSITIVE_INFINITY)) {
      queue.messages += 1
      queue.bytes += reference.bytes
      if (reference.packetId !== 0) queue.#inflight.set(reference.packetId, reference)
    }
    return queue
  }

  /** What memory it costs, in entries. */
  get weight(): number {
    return 1 + this.#inflight.size + (this.#paged?.size ?? 0)
  }

  /** Puts an entry at the end. `value` holds the message behind room for the entry's front; null: it is among the bodies. */
  append(
    position: number,
    target: AppendTarget,
    packetId: number,
    message: Message,
    bytes: number,
    value: Buffer | null,
    dropsOldest: boolean,
  ): void {
    const { commit } = this.#rows
    const entry = value ?? Buffer.allocUnsafe(entryHeadBytes(target))
    writeEntryHead(entry, target, packetId, bytes, value !== null)
    commit.put(entryKey(this.#session, position), entry)
    this.messages += 1
    this.bytes += bytes
    this.#rows.totals.add(1, bytes)
    this.#appendedIn = commit.batch
    if (packetId === 0 && !dropsOldest) return
    const reference = { position, bytes, inline: value !== null, packetId, sent: false }
    if (packetId !== 0) this.#inflight.set(packetId, reference)
    else {
      this.#dropSettled()
      this.#fresh.push({ reference, message, batch: commit.batch })
    }
  }

  /** The batch that must be on disk before a page from `after` shows everything; 0: none. */
  pageNeeds(after: number): number {
    return this.#changedTo > after && this.#changedIn > this.#rows.commit.committed ? this.#changedIn : 0
  }

  /** The same, where the page read is not full: what was appended last. */
  get endNeeds(): number {
    return this.#appendedIn > this.#rows.commit.committed ? this.#appendedIn : 0
  }

  /** Reads a page of what is on disk. */
  page(after: number, limit: number): QueueEntry[] {
    const entries: QueueEntry[] = []
    const paged = new Map<number, Reference>()
    for (const { head, value, reference, released } of this.#read(after, limit)) {
      const { position, packetId } = reference
      const message = this.#message(head, value, position)
      if (message === undefined) {
        this.#rows.log.error({ position }, 'a stored message has lost its body and is left out')
        this.#forget(reference)
        continue
      }
      const known = this.#inflight.get(packetId)
      paged.set(position, known?.position === position ? known : reference)
      const { qos, retain, identifiers, group } = head
      entries.push({ position, message, qos, retain, identifiers, group, packetId, released })
    }
    this.#paged = paged
    return entries
  }

  send(position: number, packetId: number): void {
    const reference = this.#at(position)
    if (reference === undefined) return
    if (reference.packetId !== 0) this.#inflight.delete(reference.packetId)
    reference.packetId = packetId
    this.#inflight.set(packetId, reference)
    this.#becomes(reference, false)
  }

  release(packetId: number): void {
    const reference = this.#inflight.get(packetId)
    if (reference !== undefined) this.#becomes(reference, true)
  }

  ack(packetId: number): void {
    const reference = this.#inflight.get(packetId)
    if (reference !== undefined) this.#forget(reference)
  }

  remove(position: number): void {
    const reference = this.#at(position)
    if (reference !== undefined) this.#forget(reference)
  }

  /** Makes room by its oldest entry that was never sent: the message, or `undefined` where there is none. */
  dropOldest(): Message | undefined {
    while (this.#oldest.length > 0 || this.#findOldest()) {
      const position = this.#oldest.shift()!
      if (this.#changed.has(position)) continue
      for (const { head, value, reference } of this.#read(position - 1, 1)) {
        // It may have been sent or removed since it was found.
        if (reference.position !== position || reference.packetId !== 0) continue
        const message = this.#message(head, value, position)
        this.#forget(reference)
        if (message !== undefined) return message
      }
    }
    this.#dropSettled()
    const next = this.#fresh.shift()
    if (next === undefined) return undefined
    this.#forget(next.reference)
    return next.message
  }

  /** Reads a page of what is on disk for somebody who does not own the session: nothing is changed by it. */
  peek(after: number, limit: number): QueueEntry[] {
    const entries: QueueEntry[] = []
    for (const { head, value, reference, released } of this.#read(after, limit)) {
      const { position, packetId } = reference
      const message = this.#message(head, value, position)
      const { qos, retain, identifiers, group } = head
      if (message !== undefined) entries.push({ position, message, qos, retain, identifiers, group, packetId, released })
    }
    return entries
  }

  *#read(after: number, limit: number): Iterable<{ head: EntryHead; value: Buffer; reference: Reference; released: boolean }> {
    const start = entryKey(this.#session, after + 1)
    let read: { head: EntryHead; value: Buffer; reference: Reference; released: boolean } | null = null
    let count = 0
    for (const { key, value } of this.#rows.database.range(start, numberKey(Kind.Queue, this.#session + 1)) as Iterable<Row>) {
      if (key.length === 14) {
        if (read === null) continue
        const { packetId, released } = decodeSent(value)
        read.reference.packetId = packetId
        read.reference.sent = true
        read.released = released
        continue
      }
      if (read !== null) yield read
      read = null
      if (count === limit) return
      count += 1
      const head = readEntryHead(value)
      const reference = {
        position: readNumber(key, 7),
        bytes: head.bytes,
        inline: head.messageAt !== -1,
        packetId: head.packetId,
        sent: false,
      }
      read = { head, value, reference, released: false }
    }
    if (read !== null) yield read
  }

  #message(head: EntryHead, value: Buffer, position: number): Message | undefined {
    return head.messageAt === -1 ? this.#rows.bodies.read(position) : decodeMessage(value.subarray(head.messageAt))
  }

  // The reference of an entry that was read in a page, or is on disk all the same.
  #at(position: number): Reference | undefined {
    const paged = this.#paged?.get(position)
    if (paged !== undefined) return paged
    if (this.#changed.has(position)) return undefined
    for (const { reference } of this.#read(position - 1, 1)) {
      if (reference.position !== position) return undefined
      const known = this.#inflight.get(reference.packetId)
      return known?.position === position ? known : reference
    }
    return undefined
  }

  #becomes(reference: Reference, released: boolean): void {
    this.#rows.commit.put(sentKey(this.#session, reference.position), encodeSent(reference.packetId, released))
    reference.sent = true
    this.#change(reference.position)
  }

  #forget(reference: Reference): void {
    const { position, packetId, bytes, inline, sent } = reference
    const { commit, bodies } = this.#rows
    commit.remove(entryKey(this.#session, position))
    if (sent) commit.remove(sentKey(this.#session, position))
    if (!inline) bodies.release(position)
    if (packetId !== 0 && this.#inflight.get(packetId) === reference) this.#inflight.delete(packetId)
    this.#paged?.delete(position)
    this.messages -= 1
    this.bytes -= bytes
    this.#rows.totals.add(-1, -bytes)
    this.#change(position)
  }

  #change(position: number): void {
    const { commit } = this.#rows
    if (this.#changedIn <= commit.committed) {
      this.#changed.clear()
      this.#changedTo = 0
    }
    this.#changed.add(position)
    if (position > this.#changedTo) this.#changedTo = position
    this.#changedIn = commit.batch
  }

  #findOldest(): boolean {
    for (const { reference } of this.#read(this.#oldestAfter, oldestPage)) {
      this.#oldestAfter = reference.position
      if (reference.packetId === 0) this.#oldest.push(reference.position)
    }
    return this.#oldest.length > 0
  }

  // What has come on disk is found there.
  #dropSettled(): void {
    const { committed } = this.#rows.commit
    while (this.#fresh.length > 0 && this.#fresh.first!.batch <= committed) this.#fresh.shift()
  }
}
