import { StoreAwayError, StoreFullError } from '../../core/sessions/session-store.ts'
import type { Clock } from '../../core/time/clock.ts'
import { type DiskVerdict, diskVerdict } from './disk-errors.ts'

/** What a group commit needs of a database. */
export interface CommitTarget {
  /** `bytes`: what the writes come to. */
  commit(keys: readonly Buffer[], values: readonly (Buffer | null)[], bytes: number): Promise<void>
  space(): { readonly free: number; readonly size: number }
}

export interface GroupCommitOptions {
  readonly pendingBytesMax: number
  readonly reserve: number
  /** Milliseconds between two attempts of a batch that fails; default 1000. */
  readonly retryMs?: number
}

/** What is told of a disk that does not do as it should. */
export interface GroupCommitEvents {
  /** A batch was not kept and is tried again; `full`: for want of space. */
  failing(error: Error, full: boolean, verdict: DiskVerdict): void
  /** There is too little space for new messages. */
  low(free: number): void
  /** All is well again. */
  recovered(): void
}

/** A part of a turn's writes, or of several turns', that is kept as one. */
class Batch {
  readonly number: number
  readonly keys: Buffer[] = []
  readonly values: (Buffer | null)[] = []
  bytes = 0
  kept: Promise<void> | null = null
  resolve: () => void = () => {}
  reject: (error: Error) => void = () => {}

  constructor(number: number) {
    this.number = number
  }
}

// What a write costs in memory besides its bytes.
const overhead = 200
// No batch grows beyond this, so that the acknowledgements of its first messages need not wait for those of its last.
const batchBytesMax = 8 * 1024 * 1024
const batchWritesMax = 16_384
// So many bytes may be written before the free space is looked at again; fewer where there is little.
const spaceCheckBytes = 1024 * 1024
const retryMsDefault = 1000

/**
 * All writes of one turn of the event loop are one batch, kept by one sync; while it is on its way the next one gathers. A batch that
 * fails is tried again until it is kept: its promises stay pending, so acknowledgements are withheld and nothing is forgotten.
 */
export class GroupCommit {
  readonly #target: CommitTarget
  readonly #options: GroupCommitOptions
  readonly #events: GroupCommitEvents
  readonly #clock: Clock
  readonly #beforeBatch: (() => void)[] = []
  // What is done before the next batch.
  readonly #held: (() => Promise<void>)[] = []
  #gathering: Batch
  // Batches that are full, in order.
  readonly #waiting: Batch[] = []
  #running: boolean
  #pendingBytes: number
  #uncheckedBytes: number
  #nextCheckBytes: number
  #state: 'well' | 'low' | 'full' | 'failing'
  // Why the last batch was not kept, while it was not.
  #trouble: string
  #wake: (() => void) | null
  #closing: boolean
  /** The number of the last batch that is on the disk. */
  committed: number

  constructor(target: CommitTarget, options: GroupCommitOptions, events: GroupCommitEvents, clock: Clock) {
    this.#target = target
    this.#options = options
    this.#events = events
    this.#clock = clock
    this.#gathering = new Batch(1)
    this.#running = false
    this.#pendingBytes = 0
    this.#uncheckedBytes = 0
    this.#nextCheckBytes = 0
    this.#state = 'well'
    this.#trouble = ''
    this.#wake = null
    this.#closing = false
    this.committed = 0
  }

  /** Called when a batch is about to leave: the last chance to add to it what is true of it as a whole. */
  beforeBatch(write: () => void): void {
    this.#beforeBatch.push(write)
  }

  /** Does something between two batches. While it goes on nothing is written, and whatever waits to be kept waits. Settles as `work` does. */
  hold<T>(work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#held.push(() => work().then(resolve, reject))
      this.#start()
    })
  }

  /** The batch that takes what is written now. */
  get batch(): number {
    return this.#gathering.number
  }

  /** Why nothing more is taken; null while there is room. */
  get refusal(): Error | null {
    if (this.#closing) return new StoreAwayError('the disk store is closed')
    if (this.#pendingBytes <= this.#options.pendingBytesMax) return null
    return this.#state === 'full'
      ? fullError()
      : new StoreAwayError('the disk does not keep up; more than disk.pendingBytesMax waits for it')
  }

  /** The same for a session that is claimed, whose client would wait for its CONNACK. */
  get refusalOfClaim(): Error | null {
    if (this.#state === 'full') return fullError()
    return this.#state === 'failing' ? new StoreAwayError(`the disk takes no writes (${this.#trouble})`) : this.refusal
  }

  /** The same for what takes space and is not owed to anybody yet: new messages and sessions. */
  get refusalOfNew(): Error | null {
    return this.#state === 'low' ? fullError() : this.refusalOfClaim
  }

  put(key: Buffer, value: Buffer): void {
    this.#write(key, value, value.length)
  }

  remove(key: Buffer): void {
    this.#write(key, null, 0)
  }

  /** There is too little room for new messages, or none at all. */
  get isFull(): boolean {
    return this.#state === 'low' || this.#state === 'full'
  }

  /** Resolves when everything written so far is synced. One promise for all who ask in the same batch. */
  kept(): Promise<void> {
    const batch = this.#gathering
    const kept = this.#promiseOf(batch)
    // What belongs together is in one batch: it ends only here, behind a verb's last write.
    if (batch.bytes > batchBytesMax || batch.keys.length > batchWritesMax) this.#roll()
    return kept
  }

  /** Resolves when a batch of before is on the disk. */
  settled(number: number): Promise<void> {
    if (number <= this.committed) return Promise.resolve()
    return this.#promiseOf(this.#waiting.find(waiting => waiting.number === number) ?? this.#gathering)
  }

  /** Waits for everything; where the disk fails, for one more attempt. Afterwards nothing is taken. */
  async close(): Promise<void> {
    this.#closing = true
    const done = this.kept()
    this.#wake?.()
    await done
  }

  #promiseOf(batch: Batch): Promise<void> {
    if (batch.kept === null) {
      batch.kept = new Promise((resolve, reject) => {
        batch.resolve = resolve
        batch.reject = reject
      })
      // Not everybody who writes looks at it.
      batch.kept.catch(() => {})
      this.#start()
    }
    return batch.kept
  }

  #write(key: Buffer, value: Buffer | null, length: number): void {
    const batch = this.#gathering
    batch.keys.push(key)
    batch.values.push(value)
    const bytes = key.length + length + overhead
    batch.bytes += bytes
    this.#pendingBytes += bytes
    this.#start()
  }

  #roll(): void {
    for (const write of this.#beforeBatch) write()
    this.#waiting.push(this.#gathering)
    this.#gathering = new Batch(this.#gathering.number + 1)
  }

  #start(): void {
    if (this.#running) return
    this.#running = true
    void this.#run()
  }

  async #run(): Promise<void> {
    for (;;) {
      // Sockets are read before immediates run, so that everything read in this turn is in.
      await new Promise<void>(resolve => this.#clock.turn(resolve))
      const held = this.#held.shift()
      if (held !== undefined) {
        await held()
        continue
      }
      if (this.#waiting.length === 0) {
        if (this.#gathering.keys.length === 0 && this.#gathering.kept === null) break
        this.#roll()
      }
      const batch = this.#waiting[0]!
      const error = await this.#keep(batch)
      this.#waiting.shift()
      this.#pendingBytes -= batch.bytes
      if (error === null) {
        this.committed = batch.number
        batch.resolve()
      } else {
        batch.reject(error)
      }
    }
    this.#running = false
  }

  // Null when it is kept; an error only while closing.
  async #keep(batch: Batch): Promise<Error | null> {
    for (;;) {
      const last = this.#closing
      try {
        if (batch.keys.length > 0) await this.#target.commit(batch.keys, batch.values, batch.bytes)
        this.#look(batch.bytes)
        return null
      } catch (cause) {
        const error = cause instanceof Error ? cause : new Error(String(cause))
        const verdict = diskVerdict(error)
        const full = verdict.kind === 'full'
        const state = full ? 'full' : 'failing'
        if (this.#state !== state || this.#trouble !== verdict.name) this.#events.failing(error, full, verdict)
        this.#state = state
        this.#trouble = verdict.name
        if (last) return full ? fullError() : new StoreAwayError(`the disk did not keep ${batch.keys.length} writes: ${error.message}`)
      }
      await this.#pause()
    }
  }

  #pause(): Promise<void> {
    return new Promise(resolve => {
      const timer = this.#clock.after(this.#options.retryMs ?? retryMsDefault, resolve)
      this.#wake = () => {
        timer.cancel()
        resolve()
      }
    })
  }

  // A batch was kept: is there space for more of them?
  #look(bytes: number): void {
    this.#uncheckedBytes += bytes
    if (this.#state === 'well' && this.#uncheckedBytes < this.#nextCheckBytes) return
    this.#uncheckedBytes = 0
    const space = this.#target.space()
    this.#nextCheckBytes = Math.min(spaceCheckBytes, space.free / 16)
    const low = this.#tooLow(space)
    if (low && this.#state !== 'low') this.#events.low(space.free)
    else if (!low && this.#state !== 'well') this.#events.recovered()
    this.#state = low ? 'low' : 'well'
    this.#trouble = ''
    // Nothing may be written any more while it is low, so nothing else would look.
    if (low) this.#clock.after(this.#options.retryMs ?? retryMsDefault, () => this.#state === 'low' && this.#look(0))
  }

  #tooLow({ free, size }: { readonly free: number; readonly size: number }): boolean {
    return free < Math.min(this.#options.reserve, size / 20)
  }
}

function fullError(): StoreFullError {
  return new StoreFullError('the disk is full')
}
