import { Fifo } from '../fifo.ts'
import type { Receipt } from '../messages/receipt.ts'
import type { Properties } from '../protocol/packets.ts'

interface PendingAck {
  readonly qos: 1 | 2
  readonly packetId: number
  reasonCode: number
  properties: Properties | undefined
  /** Null once it has settled. */
  receipt: Receipt | null
  kept: boolean
  /** When it began to wait, by the broker's coarse clock. */
  readonly since: number
  /** What its message keeps in memory. */
  readonly bytes: number
}

// The publisher of more than this is not read until some of it is kept.
const bytesMax = 4_194_304

/** Who writes the acknowledgements that this queue lets go. */
export interface AckWriter {
  readonly limit: number
  readonly now: number
  write(qos: 1 | 2, packetId: number, reasonCode: number, properties: Properties | undefined): void
  /** A message was not kept: the reason code of the acknowledgement that says so; `null` where there is to be none. */
  unkept(qos: 1 | 2, packetId: number, error: Error): number | null
  crowded(full: boolean): void
}

/**
 * Acknowledgements leave in the order of the publishes that they answer [MQTT-4.6.0-2] [MQTT-4.6.0-3], though the stores
 * behind them may answer in any order. Bounded by Receive Maximum, and by not reading; what they keep in memory is bounded
 * too, because a client may send a thousand messages of two mebibytes.
 */
export class AckQueue {
  readonly #writer: AckWriter
  readonly #waiting = new Fifo<PendingAck>()
  #bytes = 0

  constructor(writer: AckWriter) {
    this.#writer = writer
  }

  get length(): number {
    return this.#waiting.length
  }

  /** The receipt of the first, where that has waited since before `time`, and not because somebody reads slowly. */
  overdue(time: number): Receipt | null {
    const { first } = this.#waiting
    return first !== undefined && first.receipt !== null && !first.receipt.slowed && first.since < time ? first.receipt : null
  }

  push(qos: 1 | 2, packetId: number, reasonCode: number, properties: Properties | undefined, receipt: Receipt | null, bytes: number): void {
    const pending = receipt === null || (receipt.settled && receipt.error === undefined) ? null : receipt
    const waiting: PendingAck = { qos, packetId, reasonCode, properties, receipt: pending, kept: true, since: this.#writer.now, bytes }
    this.#waiting.push(waiting)
    this.#bytes += bytes
    if (pending !== null) {
      pending.onSettled(error => {
        waiting.receipt = null
        if (error !== undefined) this.#refused(waiting, this.#writer.unkept(qos, packetId, error))
        this.#leave()
      })
    }
    if (this.#full) this.#writer.crowded(true)
    this.#leave()
  }

  get #full(): boolean {
    return this.#waiting.length >= this.#writer.limit || this.#bytes > bytesMax
  }

  #refused(waiting: PendingAck, reasonCode: number | null): void {
    waiting.kept = reasonCode !== null
    waiting.reasonCode = reasonCode ?? 0
    waiting.properties = undefined
  }

  #leave(): void {
    while (this.#waiting.first?.receipt === null) {
      const { qos, packetId, reasonCode, properties, kept, bytes } = this.#waiting.shift()!
      this.#bytes -= bytes
      if (kept) this.#writer.write(qos, packetId, reasonCode, properties)
    }
    if (!this.#full) this.#writer.crowded(false)
  }
}
