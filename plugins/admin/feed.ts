// What waits for a reader who is slow; what comes beyond is dropped, and counted.
const itemsMax = 1000
const bytesMax = 1_048_576

/** How much is shown, and for how long. */
export interface FeedLimits {
  /** Pieces in all; then it is over. */
  readonly piecesMax: number
  /** Bytes in all, roughly; then it is over. */
  readonly bytesMax: number
}

/** Pieces on their way to one reader. Who hands them over never waits: what the reader does not take in time is dropped, and said in a piece of its own. */
export class Feed implements AsyncIterableIterator<object> {
  readonly #ended: () => void
  #waiting: { item: object; bytes: number }[] = []
  #waitingBytes = 0
  #dropped = 0
  #piecesLeft: number
  #bytesLeft: number
  #over = false
  #wake: (() => void) | null = null

  /** `ended`: called once, when nothing more is to come, for whatever reason. */
  constructor(limits: FeedLimits, ended: () => void) {
    this.#piecesLeft = limits.piecesMax
    this.#bytesLeft = limits.bytesMax
    this.#ended = ended
  }

  /** `bytes`: how long it is, roughly. */
  push(item: object, bytes: number): void {
    if (this.#over) return
    if (this.#waiting.length >= itemsMax || this.#waitingBytes + bytes > bytesMax) {
      this.#dropped += 1
      return
    }
    this.#waiting.push({ item, bytes })
    this.#waitingBytes += bytes
    this.#piecesLeft -= 1
    this.#bytesLeft -= bytes
    if (this.#piecesLeft <= 0 || this.#bytesLeft <= 0) this.end()
    this.#wake?.()
  }

  /** Nothing more comes; what waits is still read. */
  end(): void {
    if (this.#over) return
    this.#over = true
    this.#ended()
    this.#wake?.()
  }

  async next(): Promise<IteratorResult<object, undefined>> {
    for (;;) {
      const next = this.#waiting.shift()
      if (next !== undefined) {
        this.#waitingBytes -= next.bytes
        return { value: next.item, done: false }
      }
      if (this.#dropped > 0) {
        const dropped = this.#dropped
        this.#dropped = 0
        return { value: { dropped }, done: false }
      }
      if (this.#over) return { value: undefined, done: true }
      await new Promise<void>(wake => {
        this.#wake = wake
      })
      this.#wake = null
    }
  }

  /** The reader has gone. */
  async return(): Promise<IteratorResult<object, undefined>> {
    this.#waiting = []
    this.#dropped = 0
    this.end()
    return { value: undefined, done: true }
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
