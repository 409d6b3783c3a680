import type { Clock } from '../../core/time/clock.ts'
import type { WaitingRecord } from './backlog.ts'
import { RecordsRefusedError, TargetAwayError } from './services/bridge-target.ts'

/** The way of one lane into its system. `Item`: what the system gets of one message. */
export interface LaneSender<Item> {
  /**
   * Sends the records in order; resolves when the system has all of them. A second call is made only when the first has ended. It rejects as
   * `BridgeSender.send` does.
   */
  send(records: readonly Item[]): Promise<void>
  /** Gives everything back. A `send` that is still on its way may reject. */
  close(): Promise<void>
}

/** What a delivery needs of its lane, and tells it. */
export interface DeliveryLane<Parcel> {
  /** Nobody waits for the delivery any more: it ends at the next occasion. */
  readonly abandoned: boolean
  /** The lane has given everything back: what becomes of a record that is still on its way changes nothing. */
  readonly closed: boolean
  /** Waits so long, or until the lane stops. */
  pause(ms: number): Promise<void>
  /** One more message that waits behind the batch, on its way from now on; undefined: none waits. */
  next(): WaitingRecord<Parcel> | undefined
  /** The system has these. */
  taken(batch: readonly WaitingRecord<Parcel>[]): void
  /** The system will never take these. */
  refused(batch: readonly WaitingRecord<Parcel>[], error: RecordsRefusedError): void
  /** It took none of these just now; they are sent again. */
  failed(batch: readonly WaitingRecord<Parcel>[], error: Error): void
}

/** Records that are sent together. The same array at each attempt: a system that leaves out repeats knows them by what they were sent with. */
interface Part<Parcel, Item> {
  readonly waiting: readonly WaitingRecord<Parcel>[]
  readonly records: readonly Item[]
}

const retryMinMs = 100
// Attempts at the same records after which an error that nobody has thought of is looked into, and the time for one that concerns a part of the system.
const attemptsMax = 6
const partlyAwayMs = 60_000
// Records that are sent alone to see whether the system takes any; twice as many at each further look, so that a system that is away is not asked often.
const probesMin = 8
// Messages from behind the batch that are sent to see the same.
const controlsMax = 4

/** How long a delivery waits before it sends again. */
export interface RetryOptions {
  /** The first pause, in milliseconds; each further one is twice as long. Default: 100. A quarter of each is chance. */
  readonly retryMin?: number
  /** The longest pause, in milliseconds; where the system itself has named a longer one, that counts. */
  readonly retryMax: number
}

/**
 * Sends one batch, again and again, until each record has got there or was refused. An error that says nothing of what is to blame does not stop the
 * lane for ever: when it has repeated, records are sent one by one, and one that fails again although others get through is refused.
 */
export class LaneDelivery<Parcel, Item> {
  readonly #clock: Clock
  readonly #sender: LaneSender<Item>
  readonly #recordOf: (parcel: Parcel) => Item
  readonly #lane: DeliveryLane<Parcel>
  readonly #retryMin: number
  readonly #retryMax: number
  #parts: Part<Parcel, Item>[]
  #wait: number
  #attempts: number
  // When a part of the system was found away first; 0: it was not.
  #awaySince: number
  #probes: number
  #controls: number

  /** `recordOf`: what the system gets of a message; what it throws refuses the message. */
  constructor(
    clock: Clock,
    sender: LaneSender<Item>,
    recordOf: (parcel: Parcel) => Item,
    lane: DeliveryLane<Parcel>,
    { retryMin = retryMinMs, retryMax }: RetryOptions,
  ) {
    this.#clock = clock
    this.#sender = sender
    this.#recordOf = recordOf
    this.#lane = lane
    this.#retryMin = Math.min(retryMin, retryMax)
    this.#retryMax = retryMax
    this.#parts = []
    this.#wait = this.#retryMin
    this.#attempts = 0
    this.#awaySince = 0
    this.#probes = probesMin
    this.#controls = 0
  }

  /** Resolves when each has got there or was refused, or nobody waits for the delivery any more. */
  async deliver(batch: readonly WaitingRecord<Parcel>[]): Promise<void> {
    this.#parts = this.#encoded(batch)
    this.#probes = probesMin
    this.#controls = 0
    this.#calm()
    while (this.#parts.length > 0 && !this.#lane.abandoned) {
      const part = this.#parts.shift()!
      const error = await this.#attempt(part)
      if (error === null) this.#calm()
      else await this.#failed(part, error)
    }
  }

  #calm(): void {
    this.#wait = this.#retryMin
    this.#attempts = 0
    this.#awaySince = 0
  }

  /** Null where that is settled which was sent; what is still to be sent stands in front then. */
  async #attempt(part: Part<Parcel, Item>): Promise<Error | null> {
    try {
      await this.#sender.send(part.records)
    } catch (error) {
      if (this.#lane.closed) return null
      if (!(error instanceof RecordsRefusedError)) return error as Error
      this.#parts.unshift(...this.#refused(part, error))
      return null
    }
    // It took longer than the broker waits: what became of these is settled, and they are sent again at the next start.
    if (!this.#lane.closed) this.#lane.taken(part.waiting)
    return null
  }

  /** What is left to send of records of which some are refused. */
  #refused(part: Part<Parcel, Item>, error: RecordsRefusedError): Part<Parcel, Item>[] {
    const { waiting } = part
    // One of them is to blame; what is not of its half gets through.
    if (error.indexes.length === 0 && waiting.length > 1) return halves(part)
    const indexes = new Set(waiting.length === 1 ? [0] : error.indexes)
    const refused = waiting.filter((_record, index) => indexes.has(index))
    // Whoever refuses none of those that were sent has not said what is to become of them.
    if (refused.length === 0) return halves(part)
    this.#lane.refused(refused, error)
    return refused.length === waiting.length ? [] : [chosen(part, (_record, index) => !indexes.has(index))]
  }

  async #failed(part: Part<Parcel, Item>, error: Error): Promise<void> {
    this.#parts.unshift(part)
    if (this.#lane.abandoned) return
    this.#lane.failed(part.waiting, error)
    if (this.#isSuspicious(error)) {
      await this.#isolate(error)
      if (this.#lane.abandoned || this.#parts.length === 0) return
    }
    await this.#lane.pause(Math.max(this.#shortened(this.#wait), retryAfterOf(error)))
    this.#wait = Math.min(this.#wait * 2, this.#retryMax)
  }

  // Many that lost the same system do not all come back at the same moment.
  #shortened(ms: number): number {
    return ms - (ms / 4) * (this.#clock.random(1)[0]! / 255)
  }

  /** Whether it is time to see if a record is to blame rather than the system. */
  #isSuspicious(error: Error): boolean {
    if (error instanceof TargetAwayError) {
      this.#attempts = 0
      if (!error.partly) this.#awaySince = 0
      else if (this.#awaySince === 0) this.#awaySince = this.#clock.now()
      else return this.#clock.now() - this.#awaySince >= partlyAwayMs
      return false
    }
    this.#attempts += 1
    return this.#attempts >= (isProgramError(error) ? 1 : attemptsMax)
  }

  /** Sends the records one by one until some get through, then the others in halves; those that fail alone, and fail again when another got through, are refused. */
  async #isolate(first: Error): Promise<void> {
    const batch = joined(this.#parts)
    const before = this.#parts
    const probes = this.#probes
    const parts = [
      ...Array.from({ length: Math.min(probes, batch.waiting.length) }, (_, index) => chosen(batch, (_record, at) => at === index)),
      ...(batch.waiting.length > probes ? [chosen(batch, (_record, at) => at >= probes)] : []),
    ]
    // Those that failed alone since another got through.
    let suspects: Part<Parcel, Item>[] = []
    let passed = false
    let failures = 0
    const blames = (error: Error) => !(error instanceof TargetAwayError) || (error.partly && isPartlyAway(first))
    while (parts.length > 0 && !this.#lane.abandoned) {
      const part = parts.shift()!
      this.#parts = []
      const error = await this.#attempt(part)
      parts.unshift(...this.#parts)
      if (error === null) {
        passed = true
        suspects = await this.#judge(suspects, blames)
        continue
      }
      if (part.waiting.length === 1) suspects.push(part)
      else parts.unshift(...halves(part))
      failures += 1
      if (!blames(error) || (!passed && failures >= probes)) break
    }
    this.#attempts = 0
    if (passed) {
      this.#awaySince = 0
      this.#parts = suspects.length + parts.length === 0 ? [] : [joined([...suspects, ...parts])]
      return
    }
    // Nothing gets through, so nothing is known of any of them. Where nothing else is in the batch, what waits behind it tells.
    this.#parts = before
    this.#probes = probes * 2
    if (batch.waiting.length > probes || this.#controls >= controlsMax) return
    const control = this.#lane.next()
    if (control === undefined) return
    this.#controls += 1
    this.#parts = [joined([...before, ...this.#encoded([control])])]
  }

  /** Others get through: who fails once more is to blame itself. Returns those of whom that is not known. */
  async #judge(suspects: readonly Part<Parcel, Item>[], blames: (error: Error) => boolean): Promise<Part<Parcel, Item>[]> {
    const left: Part<Parcel, Item>[] = []
    for (const part of suspects) {
      this.#parts = []
      const error = this.#lane.abandoned ? null : await this.#attempt(part)
      if (this.#lane.abandoned && !part.waiting[0]!.done) left.push(part)
      else if (error !== null && blames(error)) {
        const why = `it fails again and again, and others do not: ${error.message}`
        this.#lane.refused(part.waiting, new RecordsRefusedError([0], why, { cause: error, reason: 'REPEATED' }))
      } else if (error !== null) left.push(part)
    }
    return left
  }

  /** The records as the system gets them. One of which none can be made is refused, whatever is thrown. */
  #encoded(batch: readonly WaitingRecord<Parcel>[]): Part<Parcel, Item>[] {
    const waiting: WaitingRecord<Parcel>[] = []
    const records: Item[] = []
    for (const one of batch) {
      try {
        records.push(this.#recordOf(one.parcel))
        waiting.push(one)
      } catch (cause) {
        const why = `no record can be made of it: ${(cause as Error).message}`
        this.#lane.refused([one], new RecordsRefusedError([0], why, { cause, reason: 'ENCODING' }))
      }
    }
    return waiting.length === 0 ? [] : [{ waiting, records }]
  }
}

/** What a program throws that was handed something it cannot work with. One with a cause, as of `fetch`, tells of something else. */
function isProgramError(error: Error): boolean {
  return error.cause === undefined && (error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError)
}

function isPartlyAway(error: Error): boolean {
  return error instanceof TargetAwayError && error.partly
}

/** Milliseconds that the system wants to be left alone; 0 where it has said nothing. */
function retryAfterOf(error: Error): number {
  return error instanceof TargetAwayError ? error.retryAfterMs : 0
}

function chosen<Parcel, Item>(
  { waiting, records }: Part<Parcel, Item>,
  choose: (record: unknown, index: number) => boolean,
): Part<Parcel, Item> {
  return { waiting: waiting.filter(choose), records: records.filter(choose) }
}

function halves<Parcel, Item>(part: Part<Parcel, Item>): Part<Parcel, Item>[] {
  const half = part.waiting.length >> 1
  return [chosen(part, (_record, index) => index < half), chosen(part, (_record, index) => index >= half)]
}

function joined<Parcel, Item>(parts: readonly Part<Parcel, Item>[]): Part<Parcel, Item> {
  const [first] = parts
  if (first !== undefined && parts.length === 1) return first
  return { waiting: parts.flatMap(({ waiting }) => waiting), records: parts.flatMap(({ records }) => records) }
}
