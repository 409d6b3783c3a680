import type { Clock } from '../../core/time/clock.ts'
import type { WaitingRecord } from '../kit/backlog.ts'
import { type BridgeRecord, type BridgeSender, RecordsRefusedError, TargetAwayError } from '../kit/services/bridge-target.ts'
import { type Parcel, recordOf } from './parcel.ts'

/** What a delivery needs of its lane, and tells it. */
export interface DeliveryLane {
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
interface Part {
  readonly waiting: readonly WaitingRecord<Parcel>[]
  readonly records: readonly BridgeRecord[]
}

const retryMin = 100
// Attempts at the same records after which an error that nobody has thought of is looked into, and the time for one that concerns a part of the system.
const attemptsMax = 6
const partlyAwayMs = 60_000
// Records that are sent alone to see whether the system takes any; twice as many at each further look, so that a system that is away is not asked often.
const probesMin = 8
// Messages from behind the batch that are sent to see the same.
const controlsMax = 4

/**
 * Sends one batch, again and again, until each record has got there or was refused. An error that says nothing of what is to blame does not stop the
 * lane for ever: when it has repeated, records are sent one by one, and one that fails again although others get through is refused.
 */
export class LaneDelivery {
  readonly #clock: Clock
  readonly #sender: BridgeSender
  readonly #lane: DeliveryLane
  readonly #retryMax: number
  #parts: Part[]
  #wait: number
  #attempts: number
  // When a part of the system was found away first; 0: it was not.
  #awaySince: number
  #probes: number
  #controls: number

  constructor(clock: Clock, sender: BridgeSender, lane: DeliveryLane, retryMax: number) {
    this.#clock = clock
    this.#sender = sender
    this.#lane = lane
    this.#retryMax = retryMax
    this.#parts = []
    this.#wait = retryMin
    this.#attempts = 0
    this.#awaySince = 0
    this.#probes = probesMin
    this.#controls = 0
  }

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
    this.#wait = retryMin
    this.#attempts = 0
    this.#awaySince = 0
  }

  /** Null where that is settled which was sent; what is still to be sent stands in front then. */
  async #attempt(part: Part): Promise<Error | null> {
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
  #refused(part: Part, error: RecordsRefusedError): Part[] {
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

  async #failed(part: Part, error: Error): Promise<void> {
    this.#parts.unshift(part)
    if (this.#lane.abandoned) return
    this.#lane.failed(part.waiting, error)
    if (this.#isSuspicious(error)) {
      await this.#isolate(error)
      if (this.#lane.abandoned || this.#parts.length === 0) return
    }
    await this.#lane.pause(this.#wait)
    this.#wait = Math.min(this.#wait * 2, this.#retryMax)
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
    let suspects: Part[] = []
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
  async #judge(suspects: readonly Part[], blames: (error: Error) => boolean): Promise<Part[]> {
    const left: Part[] = []
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
  #encoded(batch: readonly WaitingRecord<Parcel>[]): Part[] {
    const waiting: WaitingRecord<Parcel>[] = []
    const records: BridgeRecord[] = []
    for (const one of batch) {
      try {
        records.push(recordOf(one.parcel))
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

function chosen({ waiting, records }: Part, choose: (record: unknown, index: number) => boolean): Part {
  return { waiting: waiting.filter(choose), records: records.filter(choose) }
}

function halves(part: Part): Part[] {
  const half = part.waiting.length >> 1
  return [chosen(part, (_record, index) => index < half), chosen(part, (_record, index) => index >= half)]
}

function joined(parts: readonly Part[]): Part {
  const [first] = parts
  if (first !== undefined && parts.length === 1) return first
  return { waiting: parts.flatMap(({ waiting }) => waiting), records: parts.flatMap(({ records }) => records) }
}
