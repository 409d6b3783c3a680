import type { Clock, Timer } from '../../core/time/clock.ts'

/** A part of a stream that another node is given at once. */
export interface StreamPart {
  readonly pieces: readonly unknown[]
  /** Nothing more comes. */
  readonly done: boolean
}

interface Open {
  readonly reader: string
  readonly walk: AsyncIterator<unknown>
  /** What was asked for and has not come yet. */
  next: Promise<IteratorResult<unknown>> | null
  timer: Timer
}

// Less than a question waits for, so that an answer without pieces says that the node lives.
const waitMs = 1000
// Whoever asks for nothing more has gone, or hangs.
const idleMs = 10_000
const piecesMax = 200
const openMax = 100

/** Answers of this node that come in pieces, and that another node reads, a part at each question: who reads slowly makes the verb wait, which drops rather than keeps. */
export class VerbStreams {
  readonly #clock: Clock
  readonly #open = new Map<number, Open>()
  #number = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Keeps a stream for a node; returns the number by which that reads it. */
  add(reader: string, stream: AsyncIterable<unknown>): number {
    const walk = stream[Symbol.asyncIterator]()
    if (this.#open.size >= openMax) {
      void walk.return?.()
      throw new Error(`${openMax} streams are read by other nodes; end one first`)
    }
    this.#number += 1
    const number = this.#number
    this.#open.set(number, { reader, walk, next: null, timer: this.#idle(number) })
    return number
  }

  /** The next pieces: as soon as there is one, or none within a second. */
  async read(reader: string, number: number): Promise<StreamPart> {
    const open = this.#open.get(number)
    if (open === undefined || open.reader !== reader) throw new Error('this stream has ended')
    open.timer.cancel()
    const pieces: unknown[] = []
    let done = false
    while (pieces.length < piecesMax && !done) {
      open.next ??= open.walk.next()
      const found = await this.#within(open.next, pieces.length === 0 ? waitMs : 0)
      if (found === null) break
      open.next = null
      if (found.done === true) done = true
      else pieces.push(found.value)
    }
    open.timer = this.#idle(number)
    if (done) this.close(reader, number)
    return { pieces, done }
  }

  /** Nobody reads it any more. */
  close(reader: string, number: number): void {
    const open = this.#open.get(number)
    if (open === undefined || open.reader !== reader) return
    this.#open.delete(number)
    open.timer.cancel()
    void open.walk.return?.()
  }

  /** A node has gone, and what it has read with it. */
  left(reader: string): void {
    for (const number of [...this.#open.keys()]) this.close(reader, number)
  }

  #idle(number: number): Timer {
    return this.#clock.after(idleMs, () => {
      const open = this.#open.get(number)
      if (open !== undefined) this.close(open.reader, number)
    })
  }

  // Null: it has not come in time. Of what is there already one turn is enough to hear.
  async #within<T>(coming: Promise<T>, ms: number): Promise<T | null> {
    let timer: Timer | undefined
    const late = new Promise<null>(resolve => {
      if (ms === 0) this.#clock.turn(() => resolve(null))
      else timer = this.#clock.after(ms, () => resolve(null))
    })
    const first = await Promise.race([coming, late])
    timer?.cancel()
    return first
  }
}

/** A stream of another node's: `ask` brings the next part, `end` says that nobody reads on. */
export async function* readStream(ask: () => Promise<StreamPart>, end: () => void): AsyncGenerator<unknown, void, undefined> {
  let isOver = false
  try {
    while (!isOver) {
      const { pieces, done } = await ask()
      isOver = done
      yield* pieces
    }
  } finally {
    if (!isOver) end()
  }
}
