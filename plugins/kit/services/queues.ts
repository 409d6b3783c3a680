/** A row of a queue, as it was put there. */
export interface QueuedRow {
  /** Rises along the queue; what `remove` and reading on go by. */
  readonly position: number
  /** What was appended. */
  readonly row: Buffer
}

/** A queue that outlives the broker: first in, first out, bounded by bytes. What the rows say is its user's. */
export interface DurableQueue {
  /** How many rows the queue holds. */
  readonly length: number
  /** Bytes in it, with what a row costs besides its own. */
  readonly bytes: number
  /** The position of the row that was appended last; 0 where there never was one. */
  readonly last: number
  /**
   * Milliseconds to add to a time of the broker's clock before a row keeps it, and to take off one that was read: the queue's own time goes on over
   * restarts with what has really passed, whatever the wall clock said. Absent: 0.
   */
  readonly clockShift?: number
  /** Whether a row of so many bytes would still find room. */
  fits(bytes: number): boolean
  /** Whether it would if the queue were empty. */
  everFits(bytes: number): boolean
  /**
   * Puts a row at the end, a copy of it before the turn ends, and returns its position; it is on the disk when `kept` says so. Throws
   * `StoreFullError` or `StoreAwayError`.
   */
  append(row: Buffer): number
  /** Puts a row in front of all others: what was taken out of memory when the broker stops. Throws as `append` does. */
  prepend(row: Buffer): number
  /** Resolves when everything written so far is on the disk; rejects where it will not be. */
  kept(): Promise<void>
  /** Rows behind a position, in order, as many as `limit` and `bytesMax` allow and at least one. Shows what is on the disk. */
  page(after: number, limit: number, bytesMax: number): QueuedRow[]
  /** Takes a row out. `bytes`: the length of the row. */
  remove(position: number, bytes: number): void
}

/** The service `queue`: named queues on disk. `diskQueue` owns it. */
export interface Queues {
  /** Opens a queue, made where there is none; again: the same one. `bytesMax`: how much may lie in it. From `start` on. */
  open(name: string, bytesMax: number): DurableQueue
  /** All queues that there are, empty ones too. */
  names(): string[]
}

declare module '../../../core/service-map.js' {
  interface ServiceMap {
    /** Queues on disk for what waits outside of sessions, such as messages for Kafka: `diskQueue` owns it. */
    queue: Queues
  }
}
