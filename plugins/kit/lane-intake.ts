import { StoreAwayError, StoreFullError } from '../../core/sessions/session-store.ts'
import { Backlog, type BacklogCodec, type BacklogOptions, type Waiting, type WaitingRecord } from './backlog.ts'
import type { DurableQueue } from './services/queues.ts'

/** What a lane may hold, and what publishers wait for. */
export interface IntakeOptions extends Omit<BacklogOptions, 'allOnDisk'> {
  /** What the acknowledgement of a publisher waits for: nothing, the queue on disk, or the other system's own acknowledgement. */
  readonly waitsFor: 'nothing' | 'disk' | 'system'
  /** Where these options stand in the config, for what is said of them, and who holds a receipt: `messageBridge`. */
  readonly at: string
}

/** How the messages of a lane are counted, written and read. */
export interface IntakeCodec<Parcel> extends BacklogCodec<Parcel> {
  /** A message as a row of the queue on disk, whose time is `clockShift` milliseconds ahead of the broker's clock. */
  encode(parcel: Parcel, clockShift: number): Buffer
}

/** What an intake tells of. */
export interface IntakeEvents<Parcel> {
  /** A message waits that did not before. */
  arrived(): void
  /** A message finds no room, or the queue on disk does not take it: it is dropped. */
  full(parcel: Parcel, why: string): void
  /** A row on disk that cannot be read is left out. */
  unreadable(error: Error): void
  /** The queue on disk failed, and no publisher waits for it. */
  failed(error: Error): void
}

/**
 * Where messages come into one lane towards another system: in memory, and where that is full, or the acknowledgements of publishers stand for it, on disk. Keeps those
 * acknowledgements back until what they wait for has happened.
 */
export class LaneIntake<Parcel> {
  readonly #options: IntakeOptions
  readonly #queue: DurableQueue | null
  readonly #codec: IntakeCodec<Parcel>
  readonly #events: IntakeEvents<Parcel>
  // Publishers that wait for one commit of the queue.
  #kept: Promise<void> | null
  #keptReceipts: Waiting[]
  /** What waits. */
  readonly backlog: Backlog<Parcel>
  /** Messages that found no room. */
  full: number

  /** `queue`: null where there is no queue on disk. */
  constructor(options: IntakeOptions, queue: DurableQueue | null, codec: IntakeCodec<Parcel>, events: IntakeEvents<Parcel>) {
    this.#options = options
    this.#queue = queue
    this.#codec = codec
    this.#events = events
    this.#kept = null
    this.#keptReceipts = []
    this.full = 0
    this.backlog = new Backlog({ ...options, allOnDisk: options.waitsFor === 'disk' }, queue, codec, {
      displaced: parcel => {
        if (parcel === null) this.full += 1
        else this.#drop(parcel, `newer ones needed its room (${options.at}.whenFull)`)
      },
      unreadable: error => events.unreadable(error),
    })
  }

  /** Messages that wait, those on their way among them. */
  get waiting(): number {
    const queue = this.#queue
    const { messages } = this.backlog
    if (queue === null) return messages
    return this.#options.waitsFor === 'disk' ? queue.length : messages + queue.length
  }

  /** Bytes that wait in memory and on disk. */
  get bytes(): number {
    return this.backlog.bytes + (this.#queue?.bytes ?? 0)
  }

  /** Takes a message in, where there is room. `receipt`: of a publisher that is to wait, while the message is routed, so that it can still be held; null: nobody waits. */
  offer(parcel: Parcel, receipt: Waiting | null): void {
    const { waitsFor } = this.#options
    if (waitsFor === 'disk' && this.#queue !== null) this.#keepOnDisk(this.#queue, parcel, receipt)
    else this.#keepInMemory(parcel, waitsFor === 'system' ? receipt : null)
  }

  /** Takes in again what was parked, behind all that waits; false where there is no room for it. */
  takeBack(row: Buffer): boolean {
    const queue = this.#queue
    if (queue === null || !queue.fits(row.length)) return false
    queue.append(row)
    this.backlog.spilled = true
    this.#events.arrived()
    return true
  }

  /** The broker stops. What is in memory alone goes where it is found again: to the front of the queue on disk. `flight`: what was on its way and has not got there. */
  leave(flight: readonly WaitingRecord<Parcel>[]): void {
    const left = [...flight, ...this.backlog.shiftAll()]
    // In front of what is on disk already, so the last goes first.
    for (const { parcel, receipt, position } of left.reverse()) {
      if (position !== 0) continue
      if (receipt !== null) {
        receipt.release(new StoreAwayError('the bridge stops'), this.#options.at)
        continue
      }
      try {
        if (this.#queue === null) throw new StoreAwayError('the broker stops, and there is no queue on disk (plugin diskQueue)')
        this.#queue.prepend(this.#codec.encode(parcel, this.#queue.clockShift ?? 0))
      } catch (error) {
        this.#drop(parcel, (error as Error).message)
      }
    }
  }

  /** On disk first, so that it outlives everything; a copy in memory saves reading it again. */
  #keepOnDisk(queue: DurableQueue, parcel: Parcel, receipt: Waiting | null): void {
    const row = this.#codec.encode(parcel, queue.clockShift ?? 0)
    const position = this.#append(row, parcel, receipt)
    if (position === 0) return
    if (receipt !== null) {
      receipt.holdAs(this.#options.at)
      this.#await(queue, receipt)
    }
    if (this.backlog.fits(this.#codec.bytesOf(parcel))) this.backlog.push(parcel, null, position, row.length)
    else this.backlog.spilled = true
    this.#events.arrived()
  }

  /** All that come in one turn wait for the same commit. */
  #await(queue: DurableQueue, receipt: Waiting): void {
    const kept = queue.kept()
    if (kept === this.#kept) {
      this.#keptReceipts.push(receipt)
      return
    }
    const receipts = [receipt]
    this.#kept = kept
    this.#keptReceipts = receipts
    const release = (error?: Error): void => {
      for (const one of receipts) one.release(error, this.#options.at)
    }
    kept.then(() => release(), release)
  }

  #keepInMemory(parcel: Parcel, receipt: Waiting | null): void {
    if (this.backlog.makeRoom(this.#codec.bytesOf(parcel))) {
      receipt?.holdAs(this.#options.at)
      this.backlog.push(parcel, receipt, 0, 0)
      this.#events.arrived()
      return
    }
    // A publisher that waits for the system itself keeps the message, so it needs no place on disk.
    if (receipt !== null || this.#queue === null)
      return this.#refuse(parcel, receipt, this.#fullOf('memory', 'memoryMessages', 'memoryBytes'))
    if (this.#append(this.#codec.encode(parcel, this.#queue.clockShift ?? 0), parcel, null) === 0) return
    this.#queue.kept().catch(error => this.#events.failed(error as Error))
    this.backlog.spilled = true
    this.#events.arrived()
  }

  // The position, or 0 where it was not taken.
  #append(row: Buffer, parcel: Parcel, receipt: Waiting | null): number {
    try {
      return this.backlog.append(row)
    } catch (error) {
      this.#refuse(parcel, receipt, error instanceof StoreFullError ? this.#fullOf('disk', 'queueBytes') : (error as Error))
      return 0
    }
  }

  #refuse(parcel: Parcel, receipt: Waiting | null, why: Error): void {
    if (receipt === null) return this.#drop(parcel, why.message)
    // It is not lost: its publisher is told, or sends it again.
    receipt.holdAs(this.#options.at)
    receipt.release(why, this.#options.at)
  }

  #drop(parcel: Parcel, why: string): void {
    this.full += 1
    this.#events.full(parcel, why)
  }

  #fullOf(place: string, ...options: readonly string[]): Error {
    const { at } = this.#options
    return new StoreFullError(`too much waits for it in the bridge's ${place} (${options.map(option => `${at}.${option}`).join(', ')})`)
  }
}
