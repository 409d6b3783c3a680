import type { Receipt } from '../messages/receipt.ts'
import type { MessageQueue, Waiting } from './message-queue.ts'

// A reader that acknowledges so many messages in a second has no more than a second of reading before it.
const briskMessages = 8192

/**
 * Keeps publishers' acknowledgements back while a session's queue is long: QoS 1 and 2 are not dropped before their publishers
 * were slowed. Long is half of what it may hold; for a reader that keeps up well, a second of its reading, because a longer
 * queue would cost it time and everybody memory (500 publishers to one reader: 2.4 → 1.9 µs of CPU a message). A reader that
 * acknowledges nothing for a while slows nobody any longer.
 */
export class PublisherBrake {
  readonly #queue: MessageQueue<Waiting>
  readonly #patienceMs: number
  #held: Receipt[]
  #progressAt: number
  // Acknowledgements in the present tick of the broker's clock, and whether those of the last one make a brisk reader.
  #tickAt: number
  #acked: number
  #brisk: boolean

  /** `patienceMs`: how long a reader that acknowledges nothing slows its publishers. */
  constructor(queue: MessageQueue<Waiting>, now: number, patienceMs: number) {
    this.#queue = queue
    this.#patienceMs = patienceMs
    this.#held = []
    this.#progressAt = now
    this.#tickAt = now
    this.#acked = 0
    this.#brisk = false
  }

  /** The reader has acknowledged a message. `now` is the broker's coarse clock. */
  acked(now: number): void {
    if (now !== this.#tickAt) {
      this.#brisk = this.#acked * 1000 >= briskMessages * (now - this.#tickAt)
      this.#tickAt = now
      this.#acked = 0
      this.#progressAt = now
    }
    this.#acked += 1
  }

  /** True while publishers are to be slowed. */
  get wanted(): boolean {
    return this.#queue.high || (this.#brisk && this.#queue.length > briskMessages)
  }

  /** Keeps an acknowledgement back; false where the reader has lost the right to that. */
  hold(receipt: Receipt, now: number): boolean {
    if (this.#stalled(now)) return false
    receipt.hold()
    this.#held.push(receipt)
    return true
  }

  /** Something has left the queue. */
  eased(): void {
    if (this.#held.length > 0 && (this.#brisk ? this.#queue.length * 2 < briskMessages : this.#queue.low)) this.release()
  }

  /** Called at each tick while it holds anything. */
  look(now: number): void {
    if (now - this.#tickAt > 1000) this.#brisk = false
    if (this.#stalled(now)) this.release()
    else this.eased()
  }

  get holding(): boolean {
    return this.#held.length > 0
  }

  /** Lets all go. */
  release(): void {
    const held = this.#held
    this.#held = []
    for (const receipt of held) receipt.release()
  }

  #stalled(now: number): boolean {
    return now - this.#progressAt > this.#patienceMs
  }
}
