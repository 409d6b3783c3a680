import { Fifo } from '../kit/fifo.ts'

/** Deals with a frame; yields what to wait for before it goes on. */
type Handle = (from: string, frame: Buffer) => Generator<Promise<void>>

// Of what is only told more than this is lost while it waits, as it is where the way to this node is away. What is posted is not read meanwhile.
const waitingBytesMax = 33_554_432

/**
 * What other nodes send, dealt with in order: so much of it in one turn of the event loop as the broker takes, as with a client's own publishes, so that filters by the thousand that
 * match here hold nobody up.
 */
export class Inbox {
  readonly #handle: Handle
  readonly #waiting: Fifo<{ readonly from: string; readonly frame: Buffer }>
  #bytes: number
  #running: Promise<void> | null
  /** Frames that were lost because too many waited. */
  lost: number

  constructor(handle: Handle) {
    this.#handle = handle
    this.#waiting = new Fifo()
    this.#bytes = 0
    this.#running = null
    this.lost = 0
  }

  /** A frame has come, which is the bus's own again when this returns. Resolves when it, and all before it, have been dealt with; undefined: they have been. `mayBeLost`: it was told, not posted. */
  take(from: string, frame: Buffer, mayBeLost: boolean): Promise<void> | undefined {
    if (this.#running === null) {
      const steps = this.#handle(from, frame)
      const first = steps.next()
      if (first.done === true) return undefined
      this.#running = this.#finish(steps, first.value)
      return this.#running
    }
    if (mayBeLost && this.#bytes > waitingBytesMax) {
      this.lost += 1
      return undefined
    }
    this.#waiting.push({ from, frame: Buffer.from(frame) })
    this.#bytes += frame.length
    return this.#running
  }

  async #finish(steps: Generator<Promise<void>>, first: Promise<void>): Promise<void> {
    await first
    for (const step of steps) await step
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      this.#bytes -= next.frame.length
      for (const step of this.#handle(next.from, next.frame)) await step
    }
    this.#running = null
  }
}
