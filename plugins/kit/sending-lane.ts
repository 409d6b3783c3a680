import { MessageRefusedError } from '../../core/sessions/session-store.ts'
import type { Clock, Timer } from '../../core/time/clock.ts'
import type { Backlog, Waiting, WaitingRecord } from './backlog.ts'
import { type DeliveryLane, LaneDelivery, type LaneSender, type RetryOptions } from './lane-delivery.ts'
import { type IntakeCodec, type IntakeOptions, LaneIntake } from './lane-intake.ts'
import type { BridgeReport, RecordsRefusedError } from './services/bridge-target.ts'
import type { DurableQueue } from './services/queues.ts'

/** What a lane holds, and when it sends. */
export interface LaneOptions extends IntakeOptions, RetryOptions {
  /** How long a batch waits for more messages, in milliseconds. */
  readonly linger: number
}

/** How the messages of a lane are kept, and what its system gets of them. */
export interface LaneCodec<Parcel, Item> extends IntakeCodec<Parcel> {
  /** When the broker received it: milliseconds since the Unix epoch. */
  receivedAt(parcel: Parcel): number
  /** Somebody has been promised that it arrives, as the publisher of a message of QoS 1 or 2 is: where it is refused afterwards it is parked. */
  isPromised(parcel: Parcel): boolean
  /** What the system gets. Where it throws, the message is refused. */
  recordOf(parcel: Parcel): Item
}

/** What a lane tells of. */
export interface SendingEvents<Parcel> {
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

/**
 * One lane towards another system: messages leave in the order in which they came, a batch at a time, and the next only when the system has the one
 * before. What waits does so in memory, and where that is full, or the publishers' acknowledgements stand for it, on disk.
 */
export class SendingLane<Parcel, Item> {
  readonly #options: LaneOptions
  readonly #clock: Clock
  readonly #codec: LaneCodec<Parcel, Item>
  readonly #sender: LaneSender<Item>
  readonly #queue: DurableQueue | null
  readonly #events: SendingEvents<Parcel>
  readonly #intake: LaneIntake<Parcel>
  readonly #backlog: Backlog<Parcel>
  // The batch on its way, of which some may have got there.
  #flight: readonly WaitingRecord<Parcel>[]
  #running: boolean
  #stopping: boolean
  #abandoned: boolean
  #closed: boolean
  #wake: (() => void) | null
  // It waits for more messages, not for the system.
  #lingers: boolean
  #idle: (() => void) | null
  /** Messages that the system has taken. */
  sent: number
  /** Attempts that failed and were made again. */
  repeated: number
  /** Messages that the system refused. */
  refused: number
  /** When the oldest that waits was received, milliseconds since the Unix epoch; 0: none does. */
  oldest: number

  /** `queue`: null where there is no queue on disk. */
  constructor(
    options: LaneOptions,
    clock: Clock,
    codec: LaneCodec<Parcel, Item>,
    sender: LaneSender<Item>,
    queue: DurableQueue | null,
    events: SendingEvents<Parcel>,
  ) {
    this.#options = options
    this.#clock = clock
    this.#codec = codec
    this.#sender = sender
    this.#queue = queue
    this.#events = events
    this.#intake = new LaneIntake(options, queue, codec, {
      arrived: () => this.#arrived(),
      full: (parcel, why) => events.full(parcel, why),
      unreadable: error => {
        this.refused += 1
        events.failed(error)
      },
      failed: error => events.failed(error),
    })
    this.#backlog = this.#intake.backlog
    this.#flight = []
    this.#running = false
    this.#stopping = false
    this.#abandoned = false
    this.#closed = false
    this.#wake = null
    this.#lingers = false
    this.#idle = null
    this.sent = 0
    this.repeated = 0
    this.refused = 0
    this.oldest = 0
    // What an earlier run has left goes first.
    if (this.#backlog.spilled) this.#start()
  }

  /** Messages that wait, those on their way among them. */
  get waiting(): number {
    return this.#intake.waiting
  }

  /** Bytes that wait in memory and on disk. */
  get bytes(): number {
    return this.#intake.bytes
  }

  /** Messages that found no room. */
  get full(): number {
    return this.#intake.full
  }

  /** Takes a message in, where there is room. `receipt`: of its publisher, while the message is routed, so that it can still be held; null: nobody waits. */
  offer(parcel: Parcel, receipt: Waiting | null): void {
    this.#intake.offer(parcel, this.#codec.isPromised(parcel) && this.#options.waitsFor !== 'nothing' ? receipt : null)
  }

  /** Takes in again what was parked, behind all that waits; false where there is no room for it. */
  takeBack(row: Buffer): boolean {
    return !this.#stopping && this.#intake.takeBack(row)
  }

  /** Sends what it can for so long; what is left in memory goes to the disk, or is dropped. */
  async stop(timeoutMs: number): Promise<void> {
    this.#stopping = true
    this.#wake?.()
    const timer = this.#clock.after(timeoutMs, () => this.#abandon())
    // On disk it is safe, so only what is in memory alone is worth the wait.
    if (this.#running && this.#options.waitsFor !== 'disk') await new Promise<void>(resolve => (this.#idle = resolve))
    timer.cancel()
    this.#abandon()
    this.#closed = true
    this.#leave()
    await this.#sender.close()
    await this.#queue?.kept().catch(error => this.#events.failed(error as Error))
  }

  #arrived(): void {
    if (this.#lingers && this.#backlog.batchIsFull) this.#wake?.()
    this.#start()
  }

  #start(): void {
    if (this.#running || this.#abandoned) return
    this.#running = true
    void this.#run()
  }

  async #run(): Promise<void> {
    const delivery = new LaneDelivery(
      this.#clock,
      this.#sender,
      (parcel: Parcel) => this.#codec.recordOf(parcel),
      this.#delivers(),
      this.#options,
    )
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
      this.oldest = this.#codec.receivedAt(batch[0]!.parcel)
      await delivery.deliver(batch)
    }
    this.#running = false
    this.oldest = 0
    this.#idle?.()
    this.#idle = null
  }

  #delivers(): DeliveryLane<Parcel> {
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
  #next(): WaitingRecord<Parcel> | undefined {
    if (this.#backlog.isEmpty && this.#backlog.spilled) this.#backlog.readPage()
    const [one] = this.#backlog.nextBatch(1)
    if (one !== undefined) this.#flight = [...this.#flight, one]
    return one
  }

  #taken(batch: readonly WaitingRecord<Parcel>[]): void {
    this.sent += batch.length
    for (const record of batch) {
      this.#backlog.end(record)
      record.receipt?.release(undefined, this.#options.at)
    }
    this.#report(batch, batch.length, 0, null)
  }

  #refused(batch: readonly WaitingRecord<Parcel>[], error: RecordsRefusedError): void {
    for (const record of batch) {
      const { parcel, receipt } = record
      // Whoever still waits is told; what was acknowledged is not dropped.
      if (receipt !== null || !this.#codec.isPromised(parcel) || !this.#events.parks(parcel, error)) {
        this.refused += 1
        this.#events.refused(parcel, error)
      }
      this.#backlog.end(record)
      receipt?.release(new MessageRefusedError(error.message), this.#options.at)
    }
    this.#report(batch, 0, batch.length, null)
  }

  #report(batch: readonly WaitingRecord<Parcel>[], sent: number, refused: number, error: Error | null): void {
    const lagMs = Math.max(0, this.#clock.now() - this.#codec.receivedAt(batch[0]!.parcel))
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
    const flight = this.#flight.filter(({ done }) => !done)
    this.#flight = []
    this.#intake.leave(flight)
  }
}
