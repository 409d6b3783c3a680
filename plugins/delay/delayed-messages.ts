import type { Broker } from '../../core/broker.ts'
import { Message } from '../../core/messages/message.ts'
import { roomFor } from '../../core/sessions/queue-policy.ts'
import { type QueueLimits, StoreFullError } from '../../core/sessions/session-store.ts'
import type { Timer } from '../../core/time/clock.ts'
import { DueTimes } from '../kit/due-times.ts'
import type { DurableQueue } from '../kit/services/queues.ts'
import { type DelayedMessage, decodeDelayed, delayedBytes, encodeDelayed } from './delayed-message.ts'

interface DelayedEntry {
  readonly delayed: DelayedMessage
  /** Its place on disk; 0: it is in memory only. */
  readonly position: number
  readonly rowBytes: number
  /** It could not be kept after all. */
  refused: boolean
}

export interface DelayLimits extends QueueLimits {
  messagesMax: number
}

// How late a message may be; one timer looks for all.
const lookMs = 100
const retryMs = 5000
const pageRows = 1000

/** All messages that wait for their time: in memory, and on disk too where there is a queue. */
export class DelayedMessages {
  readonly limits: DelayLimits
  readonly #broker: Broker
  readonly #due: DueTimes<DelayedEntry>
  #queue: DurableQueue | null
  #timer: Timer | null
  /** Messages that wait, and their bytes. */
  waiting: number
  bytes: number
  /** Messages that were published when their time had come. */
  published: number

  constructor(broker: Broker, limits: DelayLimits) {
    this.limits = limits
    this.#broker = broker
    this.#due = new DueTimes()
    this.#queue = null
    this.#timer = null
    this.waiting = 0
    this.bytes = 0
    this.published = 0
  }

  /** Takes up what an earlier run has left. */
  start(queue: DurableQueue | null): void {
    this.#queue = queue
    this.#load()
    this.#timer = this.#broker.clock.every(lookMs, () => this.#look())
  }

  async stop(): Promise<void> {
    this.#timer?.cancel()
    await this.#queue?.kept()
  }

  /** Delays a message; resolves when it is as safe as it gets. Throws or rejects where there is no room, or the disk does not take it. */
  async delay(delayed: DelayedMessage): Promise<void> {
    const bytes = delayedBytes(delayed)
    if (roomFor(this.limits, this.waiting, this.bytes, bytes) !== 'fits')
      throw new StoreFullError('too many messages are held back (delay.messagesMax, delay.bytesMax)')
    delayed.message.own()
    if (this.#queue === null) {
      this.#add({ delayed, position: 0, rowBytes: 0, refused: false })
      return
    }
    const row = encodeDelayed(delayed, this.#shift)
    const entry = { delayed, position: this.#queue.append(row), rowBytes: row.length, refused: false }
    this.#add(entry)
    const kept = this.#queue.kept()
    if (delayed.message.qos === 0) return void kept.catch(error => this.#broker.report(error))
    try {
      await kept
    } catch (error) {
      // Its publisher is told, and sends it again.
      entry.refused = true
      throw error
    }
  }

  #load(): void {
    const queue = this.#queue
    if (queue === null) return
    let after = 0
    for (;;) {
      const rows = queue.page(after, pageRows, this.limits.bytesMax)
      if (rows.length === 0) return
      for (const { position, row } of rows) {
        after = position
        try {
          this.#add({ delayed: decodeDelayed(row, this.#shift), position, rowBytes: row.length, refused: false })
        } catch (error) {
          // It stays where it is: the version that wrote it can read it.
          this.#broker.report(error)
        }
      }
    }
  }

  #add(entry: DelayedEntry): void {
    this.#due.add(entry, entry.delayed.dueAt + this.#shift)
    this.waiting += 1
    this.bytes += delayedBytes(entry.delayed)
  }

  // By the time of the queue, which goes on while the machine sleeps.
  get #shift(): number {
    return this.#queue?.clockShift ?? 0
  }

  #look(): void {
    const now = this.#broker.clock.now() + this.#shift
    for (let next = this.#due.shiftDue(now); next !== undefined; next = this.#due.shiftDue(now)) this.#publish(next)
  }

  #publish(entry: DelayedEntry): void {
    if (entry.refused) return this.#done(entry)
    const { message, publisher } = entry.delayed
    const { topic, payload, qos, retain, properties, clientId } = message
    // Its expiry counts from now on, as that of a will does.
    const { username } = publisher
    const receivedAt = this.#broker.clock.now()
    const fresh = new Message({ topic, payload, qos, retain, properties, origin: 'client', clientId, username, receivedAt })
    this.#broker.publishFor(publisher, fresh).then(
      outcome => {
        if (outcome === 'published') this.published += 1
        this.#done(entry)
      },
      error => {
        // The store could not keep it for somebody, who may get it twice now, but gets it.
        this.#broker.report(error)
        this.#due.add(entry, this.#broker.clock.now() + this.#shift + retryMs)
      },
    )
  }

  #done({ delayed, position, rowBytes }: DelayedEntry): void {
    this.waiting -= 1
    this.bytes -= delayedBytes(delayed)
    if (position !== 0) this.#queue?.remove(position, rowBytes)
  }
}
