import type { Message } from '../../core/messages/message.ts'
import type { AppendTarget, QueueEntry } from '../../core/sessions/session-store.ts'
import { Fifo } from '../kit/fifo.ts'
import { entryKey, entryKeyBytes, Kind, numberKey, readNumber, sentKey, sentKeyBytes } from './keys.ts'
import { readMessage } from './read-stored.ts'
import { decodeSent, type EntryHead, encodeSent, entryHeadBytes, readEntryHead, writeEntryHead } from './records.ts'
import type { StoreParts } from './store-parts.ts'

/** What is known of an entry without its message. */
interface EntryState {
  readonly position: number
  readonly bytes: number
  /** Its message stands in the entry itself, not among the bodies. */
  readonly inline: boolean
  packetId: number
  /** A row behind it says what became of it. */
  sent: boolean
}

interface UnsettledEntry {
  readonly state: EntryState
  readonly message: Message
  readonly batch: number
}

/** An entry as it lies on disk. */
interface StoredEntry {
  /** Null: it is damaged, or nobody knows any more whether it was sent at QoS 2. */
  head: EntryHead | null
  readonly value: Buffer
  readonly state: EntryState
  released: boolean
}

const nothing = Buffer.alloc(0)
// Entries looked at in one go where the oldest have to go.
const oldestPage = 100

/**
 * The queue of one session. Entries lie on disk only; held here is how many there are, what is in flight, and what the disk does not
 * show yet. A queue that is not in use is left out of memory and counted anew when it is needed.
 */
export class SessionQueue {
  readonly #parts: StoreParts
  readonly #session: number
  /** Entries, in flight or not. */
  messages: number
  /** By `queuedBytes`. */
  bytes: number
  readonly #inflight: Map<number, EntryState>
  // Of the last page that was read: what is sent or removed next.
  #paged: Map<number, EntryState> | null
  #appendedIn: number
  // What the disk still shows otherwise: positions that were sent, released or removed, the highest of them, and in which batch.
  readonly #changed: Set<number>
  // Those of them that were removed.
  readonly #gone: Set<number>
  #changedTo: number
  #changedIn: number
  // Where the oldest are dropped: those to come next, and those that are not on the disk yet.
  readonly #oldest: Fifo<number>
  #oldestAfter: number
  readonly #unsettled: Fifo<UnsettledEntry>

  constructor(parts: StoreParts, session: number) {
    this.#parts = parts
    this.#session = session
    this.messages = 0
    this.bytes = 0
    this.#inflight = new Map()
    this.#paged = null
    this.#appendedIn = 0
    this.#changed = new Set()
    this.#gone = new Set()
    this.#changedTo = 0
    this.#changedIn = 0
    this.#oldest = new Fifo()
    this.#oldestAfter = 0
    this.#unsettled = new Fifo()
  }

  /** Counts what is on disk: 1 µs an entry. All writes to it must be there. `counted`: it was counted before. */
  static load(parts: StoreParts, session: number, counted: boolean): SessionQueue {
    const queue = new SessionQueue(parts, session)
    for (const { state } of queue.#read(0, Number.POSITIVE_INFINITY)) {
      queue.messages += 1
      queue.bytes += state.bytes
      if (state.packetId !== 0) queue.#inflight.set(state.packetId, state)
    }
    if (!counted) parts.totals.counted(queue.messages, queue.bytes)
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
    const { commit } = this.#parts
    const entry = value ?? Buffer.allocUnsafe(entryHeadBytes(target))
    writeEntryHead(entry, target, packetId, bytes, value !== null)
    commit.put(entryKey(this.#session, position), entry)
    this.messages += 1
    this.bytes += bytes
    this.#parts.totals.add(1, bytes)
    this.#appendedIn = commit.batch
    if (packetId === 0 && !dropsOldest) return
    const state = { position, bytes, inline: value !== null, packetId, sent: false }
    if (packetId !== 0) this.#inflight.set(packetId, state)
    else {
      this.#dropSettled()
      this.#unsettled.push({ state, message, batch: commit.batch })
    }
  }

  /** The batch that must be on disk before a page from `after` shows everything; 0: none. */
  pageNeeds(after: number): number {
    return this.#changedTo > after && this.#changedIn > this.#parts.commit.committed ? this.#changedIn : 0
  }

  /** The same, where the page read is not full: what was appended last. */
  get endNeeds(): number {
    return this.#appendedIn > this.#parts.commit.committed ? this.#appendedIn : 0
  }

  /** Reads a page of what is on disk. `lost`: told of an entry that is left out, because its message is not there or cannot be read. */
  page(after: number, limit: number, lost: () => void): QueueEntry[] {
    const entries: QueueEntry[] = []
    const paged = new Map<number, EntryState>()
    // In place of those that are left out others come: a page that is not full is the last one.
    for (let at = after, left = limit; left > 0; ) {
      let read = 0
      for (const { head, value, state, released } of this.#read(at, left)) {
        const { position, packetId } = state
        read += 1
        at = position
        const message = this.#message(head, value, position)
        if (head === null || message === undefined) {
          this.#parts.log.error({ position }, 'a stored message has lost its body, or cannot be read, and is left out')
          this.#forget(this.#inflightAt(position) ?? state)
          lost()
          continue
        }
        const known = this.#inflight.get(packetId)
        paged.set(position, known?.position === position ? known : state)
        const { qos, retain, identifiers, group } = head
        entries.push({ position, message, qos, retain, identifiers, group, packetId, released })
      }
      left = read < left ? 0 : limit - entries.length
    }
    this.#paged = paged
    return entries
  }

  send(position: number, packetId: number): void {
    const state = this.#at(position)
    if (state === undefined) return
    if (state.packetId !== 0) this.#inflight.delete(state.packetId)
    state.packetId = packetId
    this.#inflight.set(packetId, state)
    this.#becomes(state, false)
  }

  release(packetId: number): void {
    const state = this.#inflight.get(packetId)
    if (state !== undefined) this.#becomes(state, true)
  }

  ack(packetId: number): void {
    const state = this.#inflight.get(packetId)
    if (state !== undefined) this.#forget(state)
  }

  remove(position: number): void {
    const state = this.#at(position)
    if (state !== undefined) this.#forget(state)
  }

  /** Makes room by its oldest entry that was never sent: the message, or `undefined` where there is none. */
  dropOldest(): Message | undefined {
    while (this.#oldest.length > 0 || this.#findOldest()) {
      const position = this.#oldest.shift()!
      if (this.#changed.has(position)) continue
      for (const { head, value, state } of this.#read(position - 1, 1)) {
        // It may have been sent or removed since it was found.
        if (state.position !== position || state.packetId !== 0) continue
        const message = this.#message(head, value, position)
        this.#forget(state)
        if (message !== undefined) return message
      }
    }
    this.#dropSettled()
    const next = this.#unsettled.shift()
    if (next === undefined) return undefined
    this.#forget(next.state)
    return next.message
  }

  /** Reads a page of what is on disk for somebody who does not own the session: nothing is changed by it. */
  peek(after: number, limit: number): QueueEntry[] {
    const entries: QueueEntry[] = []
    for (const { head, value, state, released } of this.#read(after, limit)) {
      const { position, packetId } = state
      const message = this.#message(head, value, position)
      if (head === null || message === undefined) continue
      const { qos, retain, identifiers, group } = head
      entries.push({ position, message, qos, retain, identifiers, group, packetId, released })
    }
    return entries
  }

  *#read(after: number, limit: number): Iterable<StoredEntry> {
    const start = entryKey(this.#session, after + 1)
    let read: StoredEntry | null = null
    let count = 0
    for (const { key, value } of this.#parts.database.found(start, numberKey(Kind.Queue, this.#session + 1))) {
      if (key.length === sentKeyBytes) {
        if (read?.state.position === readNumber(key, 7)) becomeSent(read, value)
        continue
      }
      // The key itself is damaged.
      if (key.length !== entryKeyBytes) continue
      if (read !== null) yield read
      read = null
      if (count === limit) return
      // It was removed while a batch before was waited for.
      if (this.#gone.has(readNumber(key, 7))) continue
      count += 1
      const head = value === null ? null : readEntryHead(value)
      const state = {
        position: readNumber(key, 7),
        bytes: head?.bytes ?? 0,
        inline: head?.messageAt !== -1,
        packetId: head?.packetId ?? 0,
        sent: false,
      }
      read = { head, value: value ?? nothing, state, released: false }
    }
    if (read !== null) yield read
  }

  #message(head: EntryHead | null, value: Buffer, position: number): Message | undefined {
    if (head === null) return undefined
    return head.messageAt === -1
      ? this.#parts.bodies.read(position)
      : readMessage(this.#parts.log, value.subarray(head.messageAt), this.#parts.time.shift)
  }

  #inflightAt(position: number): EntryState | undefined {
    for (const state of this.#inflight.values()) if (state.position === position) return state
    return undefined
  }

  // The state of an entry that was read in a page, or is on disk all the same.
  #at(position: number): EntryState | undefined {
    const paged = this.#paged?.get(position)
    if (paged !== undefined) return paged
    if (this.#changed.has(position)) return undefined
    for (const { state } of this.#read(position - 1, 1)) {
      if (state.position !== position) return undefined
      const known = this.#inflight.get(state.packetId)
      return known?.position === position ? known : state
    }
    return undefined
  }

  #becomes(state: EntryState, released: boolean): void {
    this.#parts.commit.put(sentKey(this.#session, state.position), encodeSent(state.packetId, released))
    state.sent = true
    this.#change(state.position)
  }

  #forget(state: EntryState): void {
    const { position, packetId, bytes, inline, sent } = state
    const { commit, bodies } = this.#parts
    commit.remove(entryKey(this.#session, position))
    if (sent) commit.remove(sentKey(this.#session, position))
    if (!inline) bodies.release(position)
    if (packetId !== 0 && this.#inflight.get(packetId) === state) this.#inflight.delete(packetId)
    this.#paged?.delete(position)
    this.messages -= 1
    this.bytes -= bytes
    this.#parts.totals.add(-1, -bytes)
    this.#change(position)
    this.#gone.add(position)
  }

  #change(position: number): void {
    const { commit } = this.#parts
    if (this.#changedIn <= commit.committed) {
      this.#changed.clear()
      this.#gone.clear()
      this.#changedTo = 0
    }
    this.#changed.add(position)
    if (position > this.#changedTo) this.#changedTo = position
    this.#changedIn = commit.batch
  }

  #findOldest(): boolean {
    for (const { state } of this.#read(this.#oldestAfter, oldestPage)) {
      this.#oldestAfter = state.position
      if (state.packetId === 0) this.#oldest.push(state.position)
    }
    return this.#oldest.length > 0
  }

  // What has come on disk is found there.
  #dropSettled(): void {
    const { committed } = this.#parts.commit
    while (this.#unsettled.length > 0 && this.#unsettled.first!.batch <= committed) this.#unsettled.shift()
  }
}

function becomeSent(entry: StoredEntry, value: Buffer | null): void {
  entry.state.sent = true
  if (value === null) {
    // Whether it was sent is not known: at QoS 1 it goes again, at QoS 2 nothing comes twice.
    if (entry.head?.qos === 2) entry.head = null
    return
  }
  const { packetId, released } = decodeSent(value)
  entry.state.packetId = packetId
  entry.released = released
}
