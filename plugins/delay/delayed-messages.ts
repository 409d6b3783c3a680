import type { Broker } from '../../core/broker.ts'
import { Message } from '../../core/messages/message.ts'
import { StoreFullError } from '../../core/sessions/session-store.ts'
import type { Timer } from '../../core/time/clock.ts'
import { DueTimes } from '../kit/due-times.ts'
import type { DurableQueue } from '../kit/services/queues.ts'
import { decodeHeld, encodeHeld, type Held, heldBytes } from './held-message.ts'

interface Waiting {
  readonly held: Held
  /** Its place on disk; 0: it is in memory only. */
  readonly position: number
  readonly rowBytes: number
  /** It could not be kept after all. */
  refused: boolean
}

export interface DelayLimits {
  messagesMax: number
  readonly bytesMax: number
}

// How late a message may be; one timer looks for all.
const lookMs = 100
const retryMs = 5000
const pageRows = 1000

/** All messages that wait for their time: in memory, and on disk too where there is a queue. */
export class DelayedMessages {
  readonly limits: DelayLimits
  readonly #broker: Broker
  readonly #due: DueTimes<Waiting>
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

  /** Holds a message back; resolves when it is as safe as it gets. Throws or rejects where there is no room, or the disk does not take it. */
  async hold(held: Held): Promise<void> {
    const bytes = heldBytes(held)
    const { messagesMax, bytesMax } = this.limits
    if (this.waiting >= messagesMax || this.bytes + bytes > bytesMax)
      throw new StoreFullError('too many messages are held back (delay.messagesMax, delay.bytesMax)')
    held.message.own()
    if (this.#queue === null) {
      this.#add({ held, position: 0, rowBytes: 0, refused: false })
      return
    }
    const row = encodeHeld(held)
    const waiting = { held, position: this.#queue.append(row), rowBytes: row.length, refused: false }
    this.#add(waiting)
    const kept = this.#queue.kept()
    if (held.message.qos === 0) return void kept.catch(error => this.#broker.report(error))
    try {
      await kept
    } catch (error) {
      // Its publisher is told, and sends it again.
      waiting.refused = true
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
          this.#add({ held: decodeHeld(row), position, rowBytes: row.length, refused: false })
        } catch (error) {
          // It stays where it is: the version that wrote it can read it.
          this.#broker.report(error)
        }
      }
    }
  }

  #add(waiting: Waiting): void {
    this.#due.add(waiting, waiting.held.dueAt)
    this.waiting += 1
    this.bytes += heldBytes(waiting.held)
  }

  #look(): void {
    const now = this.#broker.clock.now()
    for (let next = this.#due.take(now); next !== undefined; next = this.#due.take(now)) this.#publish(next)
  }

  #publish(waiting: Waiting): void {
    if (waiting.refused) return this.#done(waiting)
    const { message, publisher } = waiting.held
    const { topic, payload, qos, retain, properties, clientId } = message
    // Its expiry counts from now on, as that of a will does.
    const fresh = new Message({ topic, payload, qos, retain, properties, origin: 'client', clientId, receivedAt: this.#broker.clock.now() })
    this.#broker.publishFor(publisher, fresh).then(
      outcome => {
        if (outcome === 'published') this.published += 1
        this.#done(waiting)
      },
      error => {
        // The store could not keep it for somebody, who may get it twice now, but gets it.
        this.#broker.report(error)
        this.#due.add(waiting, this.#broker.clock.now() + retryMs)
      },
    )
  }

  #done({ held, position, rowBytes }: Waiting): void {
    this.waiting -= 1
    this.bytes -= heldBytes(held)
    if (position !== 0) this.#queue?.remove(position, rowBytes)
  }
}
