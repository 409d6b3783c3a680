import type { Receipt } from '../messages/receipt.ts'

/** What waits for one reader, here or in a store. */
export interface Line {
  /** Messages. */
  readonly length: number
  /** More than half full. */
  readonly high: boolean
  /** Less than a quarter full. */
  readonly low: boolean
}

// Publishers of a reader that keeps up wait so long at most.
const earlyWaitMs = 250

/**
 * Keeps publishers' acknowledgements back while a session's queue is long. Long is half of what it may hold; for a reader that
 * would be through with it in a quarter of a second it is four times its window, because more would keep nobody busier and cost
 * everybody time and memory (500 publishers to one reader, QoS 1: 2.4 → 1.5 µs of CPU a message, 195 → 109 MiB). A reader that
 * acknowledges nothing for a while slows nobody any longer.
 */
export class PublisherBrake {
  readonly #line: Line
  readonly #patienceMs: number
  // A queue longer than this slows the publishers of a reader that keeps up.
  readonly #early: number
  #held: Receipt[] = []
  // Whose acknowledgement was held last.
  #last: object | null = null
  #progressAt: number
  // Acknowledgements in the present tick of the broker's clock, and whether those of the last one make a brisk reader. It is
  // taken for one until a whole tick has shown that it is not: what piles up before that would cost the garbage collector dearly.
  #tickAt: number
  #whole = false
  #acked = 0
  #brisk = true

  /** `window`: messages that the reader has in flight at most. `patienceMs`: how long it slows its publishers while it acknowledges nothing. */
  constructor(line: Line, window: number, now: number, patienceMs: number) {
    this.#line = line
    this.#early = Math.max(1000, 4 * window)
    this.#patienceMs = patienceMs
    this.#progressAt = now
    this.#tickAt = now
  }

  /** The reader has acknowledged a message. `now` is the broker's coarse clock. */
  acked(now: number): void {
    if (now !== this.#tickAt) {
      if (this.#whole) this.#brisk = this.#acked * earlyWaitMs >= this.#early * (now - this.#tickAt)
      this.#whole = true
      this.#tickAt = now
      this.#acked = 0
      this.#progressAt = now
    }
    this.#acked += 1
  }

  /**
   * True while publishers are to be slowed. `publisher`: a connection with acknowledgements that wait; where the last one held was its, those behind leave
   * with it and need no receipt (500 publishers to one reader, QoS 1, on streams in memory: 1,080 → 880 bytes allocated a message, 2.1 → 1.75 µs).
   */
  wants(publisher: object | null = null): boolean {
    if (publisher !== null && publisher === this.#last && this.#held.length > 0) return false
    return this.#line.high || (this.#brisk && this.#line.length > this.#early)
  }

  /** Keeps an acknowledgement back, that of `publisher`'s connection if it has one; false where the reader has lost the right to that. */
  hold(receipt: Receipt, now: number, publisher: object | null = null): boolean {
    if (this.#stalled(now)) return false
    this.#last = publisher
    receipt.slow()
    this.#held.push(receipt)
    return true
  }

  /** Something has left the queue. */
  shortened(): void {
    if (this.#held.length > 0 && this.#line.low && (!this.#brisk || this.#line.length * 2 < this.#early)) this.release()
  }

  /** Called at each tick while it holds anything. */
  look(now: number): void {
    if (now - this.#tickAt > 2 * earlyWaitMs) this.#brisk = false
    if (this.#stalled(now)) this.release()
    else this.shortened()
  }

  get holding(): boolean {
    return this.#held.length > 0
  }

  /** Lets all go. */
  release(): void {
    const held = this.#held
    this.#held = []
    this.#last = null
    for (const receipt of held) receipt.ease()
  }

  #stalled(now: number): boolean {
    return now - this.#progressAt > this.#patienceMs
  }
}
