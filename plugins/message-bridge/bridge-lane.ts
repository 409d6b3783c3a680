import type { Receipt } from '../../core/messages/receipt.ts'
import { MessageRefusedError, StoreAwayError, StoreFullError } from '../../core/sessions/session-store.ts'
import type { Clock, Timer } from '../../core/time/clock.ts'
import type { BridgeReport, BridgeSender, RecordsRefusedError } from '../kit/services/bridge-target.ts'
import type { DurableQueue } from '../kit/services/queues.ts'
import { type BacklogOptions, LaneBacklog, type WaitingRecord } from './lane-backlog.ts'
import { type DeliveryLane, LaneDelivery } from './lane-delivery.ts'
import { encodeParcel, type Parcel, parcelBytes } from './parcel.ts'

export interface LaneOptions extends BacklogOptions {
  readonly linger: number
  readonly retryMax: number
}

/** What a lane tells of. */
export interface LaneEvents {
  /** A message finds no room. */
  full(parcel: Parcel, why: string): void
  /** Keeps a message that the system will never take, though it was acknowledged; false where there is no place for it. Called in the turn in which it leaves the lane. */
  parks(parcel: Parcel, error: RecordsRefusedError): boolean
  /** The system will never take a message, and nobody keeps it. */
  refused(parcel: Parcel, error: RecordsRefusedError): void
  /** After each batch, however it went. */
  reported(report: Omit<BridgeReport, 'target'>): void
  /** Something is wrong that no message is to blame for. */
  failed(error: Error): void
}

const needed = 'newer ones needed its room (messageBridge.whenFull)'

const full = (place: string, options: string): Error =>
  new StoreFullError(`too much waits for it in the bridge's ${place} (messageBridge.${options})`)

/**
 * One lane of `messageBridge.lanes`: messages leave in the order in which they came, a batch at a time, and the next only when the system has the one
 * before. What waits does so in memory, and where that is full, or the publishers' acknowledgements stand for it, on disk.
 */
export class BridgeLane {
  readonly #options: LaneOptions
  readonly #clock: Clock
  readonly #sender: BridgeSender
  readonly #queue: DurableQueue | null
  readonly #events: LaneEvents
  readonly #backlog: LaneBacklog
  // The batch on its way, of which some may have got there.
  #flight: readonly WaitingRecord[]
  #running: boolean
  #stopping: boolean
  #abandoned: boolean
  #closed: boolean
  #wake: (() => void) | null
  // It waits for more messages, not for the system.
  #lingers: boolean
  // Publishers that wait for one commit of the queue.
  #kept: Promise<void> | null
  #keptReceipts: Receipt[]
  #idle: (() => void) | null
  /** Messages that the system has taken. */
  sent: number
  /** Attempts that failed and were made again. */
  repeated: number
  /** Messages that found no room, and those that the system refused. */
  full: number
  refused: number
  /** When the oldest that waits was received, milliseconds since the Unix epoch; 0: none does. */
  oldest: number

  constructor(options: LaneOptions, clock: Clock, sender: BridgeSender, queue: DurableQueue | null, events: LaneEvents) {
    this.#options = options
    this.#clock = clock
    this.#sender = sender
    this.#queue = queue
    this.#events = events
    this.#backlog = new LaneBacklog(options, queue, {
      displaced: parcel => this.#displaced(parcel),
      unreadable: error => this.#unreadable(error),
    })
    this.#flight = []
    this.#running = false
    this.#stopping = false
    this.#abandoned = false
    this.#closed = false
    this.#wake = null
    this.#lingers = false
    this.#kept = null
    this.#keptReceipts = []
    this.#idle = null
    this.sent = 0
    this.repeated = 0
    this.full = 0
    this.refused = 0
    this.oldest = 0
    // What an earlier run has left goes first.
    if (this.#backlog.spilled) this.#start()
  }

  /** Messages that wait, those on their way among them. */
  get waiting(): number {
    const queue = this.#queue
    const { messages } = this.#backlog
    if (queue === null) return messages
    return this.#options.mode === 'local' ? queue.length : messages + queue.length
  }

  /** Bytes that wait in memory and on disk. */
  get bytes(): number {
    return this.#backlog.bytes + (this.#queue?.bytes ?? 0)
  }

  /** Takes a message in, where there is room. Called while it is routed: `receipt` can still be held. */
  offer(parcel: Parcel, receipt: Receipt): void {
    const { mode } = this.#options
    const waits = parcel.message.qos > 0 && mode !== 'none'
    if (mode === 'local' && this.#queue !== null) this.#keepOnDisk(this.#queue, parcel, waits ? receipt : null)
    else this.#keepInMemory(parcel, mode === 'kafka' && waits ? receipt : null)
  }

  /** Takes in again what was parked, behind all that waits; false where there is no room for it. */
  takeBack(row: Buffer): boolean {
    const queue = this.#queue
    if (queue === null || this.#stopping || !queue.fits(row.length)) return false
    queue.append(row)
    this.#backlog.spilled = true
    this.#start()
    return true
  }

  /** Sends what it can for so long; what is left in memory goes to the disk, or is dropped. */
  async stop(timeoutMs: number): Promise<void> {
    this.#stopping = true
    this.#wake?.()
    const timer = this.#clock.after(timeoutMs, () => this.#abandon())
    // On disk it is safe, so only what is in memory alone is worth the wait.
    if (this.#running && this.#options.mode !== 'local') await new Promise<void>(resolve => (this.#idle = resolve))
    timer.cancel()
    this.#abandon()
    this.#closed = true
    this.#leave()
    await this.#sender.close()
    await this.#queue?.kept().catch(error => this.#events.failed(error as Error))
  }

  /** On disk first, so that it outlives everything; a copy in memory saves reading it again. */
  #keepOnDisk(queue: DurableQueue, parcel: Parcel, receipt: Receipt | null): void {
    const row = encodeParcel(parcel, queue.clockShift ?? 0)
    const position = this.#append(row, parcel, receipt)
    if (position === 0) return
    if (receipt !== null) {
      receipt.hold()
      this.#await(queue, receipt)
    }
    if (this.#backlog.fits(parcelBytes(parcel))) this.#push(parcel, null, position, row.length)
    else this.#backlog.spilled = true
    this.#start()
  }

  /** All that come in one turn wait for the same commit. */
  #await(queue: DurableQueue, receipt: Receipt): void {
    const kept = queue.kept()
    if (kept === this.#kept) {
      this.#keptReceipts.push(receipt)
      return
    }
    const receipts = [receipt]
    this.#kept = kept
    this.#keptReceipts = receipts
    const release = (error?: Error): void => {
      for (const one of receipts) one.release(error)
    }
    kept.then(() => release(), release)
  }

  #keepInMemory(parcel: Parcel, receipt: Receipt | null): void {
    if (this.#backlog.makeRoom(parcelBytes(parcel))) {
      receipt?.hold()
      this.#push(parcel, receipt, 0, 0)
      this.#start()
      return
    }
    // A publisher that waits for the system itself keeps the message, so it needs no place on disk.
    if (receipt !== null || this.#queue === null) {
      return this.#refuse(parcel, receipt, full('memory', 'memoryMessages, messageBridge.memoryBytes'))
    }
    if (this.#append(encodeParcel(parcel, this.#queue.clockShift ?? 0), parcel, null) === 0) return
    this.#queue.kept().catch(error => this.#events.failed(error as Error))
    this.#backlog.spilled = true
    this.#start()
  }

  #push(parcel: Parcel, receipt: Receipt | null, position: number, rowBytes: number): void {
    this.#backlog.push(parcel, receipt, position, rowBytes)
    if (this.#lingers && this.#backlog.batchIsFull) this.#wake?.()
  }

  // The position, or 0 where it was not taken.
  #append(row: Buffer, parcel: Parcel, receipt: Receipt | null): number {
    try {
      return this.#backlog.append(row)
    } catch (error) {
      this.#refuse(parcel, receipt, error instanceof StoreFullError ? full('disk', 'queueBytes') : (error as Error))
      return 0
    }
  }

  #refuse(parcel: Parcel, receipt: Receipt | null, why: Error): void {
    if (receipt === null) return this.#drop(parcel, why.message)
    // It is not lost: its publisher is told, or sends it again.
    receipt.hold()
    receipt.release(why)
  }

  #displaced(parcel: Parcel | null): void {
    if (parcel === null) this.full += 1
    else this.#drop(parcel, needed)
  }

  #drop(parcel: Parcel, why: string): void {
    this.full += 1
    this.#events.full(parcel, why)
  }

  #unreadable(error: Error): void {
    this.refused += 1
    this.#events.failed(error)
  }

  #start(): void {
    if (this.#running || this.#abandoned) return
    this.#running = true
    void this.#run()
  }

  async #run(): Promise<void> {
    const delivery = new LaneDelivery(this.#clock, this.#sender, this.#delivers(), this.#options.retryMax)
    const backlog = this.#backlog
    for (;;) {
      if (this.#abandoned) break
      if (backlog.isEmpty && backlog.spilled && !(await this.#read())) break
      if (backlog.isEmpty) {
        if (backlog.spilled) continue
        break
      }
      if (!backlog.batchIsFull && !this.#stopping) {
        this.#lingers = true
        await this.#pause(this.#options.linger)
        this.#lingers = false
      }
      if (this.#abandoned) break
      const batch = backlog.nextBatch()
      this.#flight = batch
      // What waited may have been dropped for newer ones meanwhile.
      if (batch.length === 0) continue
      this.oldest = batch[0]!.parcel.message.receivedAt
      await delivery.deliver(batch)
    }
    this.#running = false
    this.oldest = 0
    this.#idle?.()
    this.#idle = null
  }

  #delivers(): DeliveryLane {
    const abandoned = () => this.#abandoned
    const closed = () => this.#closed
    return {
      get abandoned() {
        return abandoned()
      },
      get closed() {
        return closed()
      },
      pause: ms => this.#pause(ms),
      next: () => this.#next(),
      taken: batch => this.#taken(batch),
      refused: (batch, error) => this.#refused(batch, error),
      failed: (batch, error) => {
        this.repeated += 1
        this.#report(batch, 0, 0, error)
      },
    }
  }

  /** Waits, until somebody has a reason to go on. */
  #pause(ms: number): Promise<void> {
    return new Promise(resolve => {
      let timer: Timer | null = null
      this.#wake = () => {
        timer?.cancel()
        this.#wake = null
        resolve()
      }
      timer = this.#clock.after(ms, () => this.#wake?.())
    })
  }

  /** Reads a page of what is on disk; false where the disk does not answer. */
  async #read(): Promise<boolean> {
    if (this.#backlog.readPage()) return true
    // What was appended last is not on the disk yet.
    try {
      await this.#queue!.kept()
    } catch (error) {
      if (!this.#stopping) this.#events.failed(error as Error)
      return false
    }
    if (this.#abandoned) return false
    this.#backlog.readPage()
    return true
  }

  /** More to send along with the batch that is on its way. */
  #next(): WaitingRecord | undefined {
    if (this.#backlog.isEmpty && this.#backlog.spilled) this.#backlog.readPage()
    const [one] = this.#backlog.nextBatch(1)
    if (one !== undefined) this.#flight = [...this.#flight, one]
    return one
  }

  #taken(batch: readonly WaitingRecord[]): void {
    this.sent += batch.length
    for (const record of batch) {
      this.#backlog.end(record)
      record.receipt?.release()
    }
    this.#report(batch, batch.length, 0, null)
  }

  #refused(batch: readonly WaitingRecord[], error: RecordsRefusedError): void {
    for (const record of batch) {
      const { parcel, receipt } = record
      // Whoever still waits is told; what was acknowledged is not dropped.
      if (receipt !== null || parcel.message.qos === 0 || !this.#events.parks(parcel, error)) {
        this.refused += 1
        this.#events.refused(parcel, error)
      }
      this.#backlog.end(record)
      receipt?.release(new MessageRefusedError(error.message))
    }
    this.#report(batch, 0, batch.length, null)
  }

  #report(batch: readonly WaitingRecord[], sent: number, refused: number, error: Error | null): void {
    const lagMs = Math.max(0, this.#clock.now() - batch[0]!.parcel.message.receivedAt)
    this.#events.reported({ sent, refused, error, waiting: this.waiting, lagMs })
  }

  #abandon(): void {
    this.#abandoned = true
    this.#wake?.()
    // A send may never end; who waits for the lane does not wait for that.
    this.#idle?.()
    this.#idle = null
  }

  /** What is in memory alone goes where it is found again. */
  #leave(): void {
    const left = [...this.#flight.filter(({ done }) => !done), ...this.#backlog.shiftAll()]
    this.#flight = []
    // In front of what is on disk already, so the last goes first.
    for (const { parcel, receipt, position } of left.reverse()) {
      if (position !== 0) continue
      if (receipt !== null) {
        receipt.release(new StoreAwayError('the bridge stops'))
        continue
      }
      try {
        if (this.#queue === null) throw new StoreAwayError('the broker stops, and there is no queue on disk (plugin diskQueue)')
        this.#queue.prepend(encodeParcel(parcel, this.#queue.clockShift ?? 0))
      } catch (error) {
        this.#drop(parcel, (error as Error).message)
      }
    }
  }
}
