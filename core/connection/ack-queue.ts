import type { Receipt } from '../messages/receipt.ts'
import type { Properties } from '../protocol/packets.ts'

interface Waiting {
  readonly qos: 1 | 2
  readonly packetId: number
  reasonCode: number
  properties: Properties | undefined
  settled: boolean
  kept: boolean
}

/** Who writes the acknowledgements that this queue lets go. */
export interface AckWriter {
  readonly limit: number
  write(qos: 1 | 2, packetId: number, reasonCode: number, properties: Properties | undefined): void
  /** A message was not kept: the reason code of the acknowledgement that says so; `null` where there is to be none. */
  unkept(qos: 1 | 2, packetId: number, error: Error): number | null
  crowded(full: boolean): void
}

/**
 * Acknowledgements leave in the order of the publishes that they answer [MQTT-4.6.0-2] [MQTT-4.6.0-3], though the stores
 * behind them may answer in any order. Bounded by Receive Maximum, and by not reading.
 */
export class AckQueue {
  readonly #writer: AckWriter
  #waiting: Waiting[]

  constructor(writer: AckWriter) {
    this.#writer = writer
    this.#waiting = []
  }

  get length(): number {
    return this.#waiting.length
  }

  push(qos: 1 | 2, packetId: number, reasonCode: number, properties: Properties | undefined, receipt: Receipt | null): void {
    const settled = receipt === null || (receipt.settled && receipt.error === undefined)
    const waiting = { qos, packetId, reasonCode, properties, settled, kept: true }
    this.#waiting.push(waiting)
    if (!settled) {
      receipt!.onSettled(error => {
        waiting.settled = true
        if (error !== undefined) this.#refused(waiting, this.#writer.unkept(qos, packetId, error))
        this.#leave()
      })
    }
    if (this.#waiting.length >= this.#writer.limit) this.#writer.crowded(true)
    this.#leave()
  }

  #refused(waiting: Waiting, reasonCode: number | null): void {
    waiting.kept = reasonCode !== null
    waiting.reasonCode = reasonCode ?? 0
    waiting.properties = undefined
  }

  #leave(): void {
    let count = 0
    while (count < this.#waiting.length && this.#waiting[count]!.settled) {
      const { qos, packetId, reasonCode, properties, kept } = this.#waiting[count]!
      if (kept) this.#writer.write(qos, packetId, reasonCode, properties)
      count += 1
    }
    if (count === 0) return
    this.#waiting.splice(0, count)
    if (this.#waiting.length < this.#writer.limit) this.#writer.crowded(false)
  }
}
