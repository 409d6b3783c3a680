import type { Waiting, WaitingRecord } from '../kit/backlog.ts'
import { LaneIntake } from '../kit/lane-intake.ts'
import type { DurableQueue } from '../kit/services/queues.ts'
import { type OutParcel, outParcelCodec } from './out-parcel.ts'
import type { AckMode, ConnectionOptions } from './rules.ts'

/** What a lane tells of. */
export interface LaneEvents {
  /** A message waits that did not before, or can be read now that could not. */
  arrived(): void
  /** A message is dropped for want of room. */
  full(parcel: OutParcel, why: string): void
  /** Something is wrong that no message is to blame for. */
  failed(error: Error): void
}

const waitsFor = { none: 'nothing', local: 'disk', remote: 'system' } as const
// Of what is on disk too, twice as many are in memory.
const batchBytes = 1_048_576

/** What goes out over one connection with one kind of acknowledgement, in the order in which it came. */
export class OutLane {
  readonly mode: AckMode
  /** Where the connection stands in the config: who holds the receipts. */
  readonly at: string
  readonly #intake: LaneIntake<OutParcel>
  readonly #queue: DurableQueue | null
  readonly #events: LaneEvents
  #reads: boolean
  /** Rows on disk that nobody could read. */
  unreadable: number

  constructor(mode: AckMode, options: ConnectionOptions, at: string, queue: DurableQueue | null, events: LaneEvents) {
    this.mode = mode
    this.at = at
    this.#queue = queue
    this.#events = events
    this.#reads = false
    this.unreadable = 0
    const { window, memoryMessages, memoryBytes, whenFull } = options
    const limits = { batchMessages: window, batchBytes, memoryMessages, memoryBytes, whenFull }
    this.#intake = new LaneIntake({ ...limits, waitsFor: waitsFor[mode], at }, queue, outParcelCodec, {
      arrived: () => events.arrived(),
      full: (parcel, why) => events.full(parcel, why),
      unreadable: error => {
        this.unreadable += 1
        events.failed(error)
      },
      failed: error => events.failed(error),
    })
    // What an earlier run has left: how old it is can be seen before it can be sent.
    if (this.#intake.backlog.spilled) this.#intake.backlog.readPage()
  }

  /** Messages that wait, those on their way among them. */
  get waiting(): number {
    return this.#intake.waiting
  }

  get bytes(): number {
    return this.#intake.bytes
  }

  /** Messages that found no room. */
  get full(): number {
    return this.#intake.full
  }

  /** Takes a message in, where there is room. Called while it is routed; `receipt` null: nobody waits for it. */
  offer(parcel: OutParcel, receipt: Waiting | null): void {
    this.#intake.offer(parcel, parcel.message.qos > 0 && this.mode !== 'none' ? receipt : null)
  }

  /** When the oldest that waits in memory was received; 0: none does. */
  get oldest(): number {
    return this.#intake.backlog.first?.parcel.message.receivedAt ?? 0
  }

  takeBack(row: Buffer): boolean {
    return this.#intake.takeBack(row)
  }

  /** The next one, which is on its way from now on; undefined: none waits, or the disk does not show it yet. */
  next(): WaitingRecord<OutParcel> | undefined {
    const { backlog } = this.#intake
    if (backlog.isEmpty && backlog.spilled && !backlog.readPage() && backlog.spilled) this.#readLater()
    return backlog.nextBatch(1)[0]
  }

  // What was appended last is not on the disk yet.
  #readLater(): void {
    if (this.#reads) return
    this.#reads = true
    this.#queue!.kept().then(
      () => {
        this.#reads = false
        this.#events.arrived()
      },
      error => {
        this.#reads = false
        this.#events.failed(error as Error)
      },
    )
  }

  /** One that was on its way has got there, or was refused. */
  end(record: WaitingRecord<OutParcel>): void {
    this.#intake.backlog.end(record)
  }

  /** The broker stops: what is in memory alone goes to the disk. Resolves when it is there. `flight`: what was on its way. */
  async leave(flight: readonly WaitingRecord<OutParcel>[]): Promise<void> {
    this.#intake.leave(flight)
    await this.#queue?.kept().catch(error => this.#events.failed(error as Error))
  }
}
