import type { Receipt } from './receipt.ts'

interface Waiting {
  readonly qos: 1 | 2
  readonly packetId: number
  readonly reasonCode: number
  readonly reasonString: string | undefined
  settled: boolean
  error: Error | undefined
}

/** Who writes the acknowledgements that this queue lets go. */
export interface AckWriter {
  readonly limit: number
  write(qos: 1 | 2, packetId: number, reasonCode: number, reasonString: string | undefined): void
  /** A message was not kept, so its acknowledgement does not leave, and nothing behind it. */
  unkept(error: Error): void
  /** The QoS 2 identifier of a message that was not kept is free again. */
  forget(packetId: number, error: Error): void
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

  push(qos: 1 | 2, packetId: number, reasonCode: number, reasonString: string | undefined, receipt: Receipt | null): void {
    const waiting: Waiting = { qos, packetId, reasonCode, reasonString, settled: receipt === null, error: undefined }
    this.#waiting.push(waiting)
    receipt?.onSettled(error => {
      waiting.settled = true
      waiting.error = error
      // Closes the connection, so that nothing behind it leaves either.
      if (error !== undefined) this.#writer.unkept(error)
      this.#leave()
    })
    if (this.#waiting.length >= this.#writer.limit) this.#writer.crowded(true)
    this.#leave()
  }

  // Goes on after the connection has ended: the session has to know which QoS 2 messages it has and which are to come again.
  #leave(): void {
    let count = 0
    while (count < this.#waiting.length && this.#waiting[count]!.settled) {
      const { qos, packetId, reasonCode, reasonString, error } = this.#waiting[count]!
      if (error === undefined) this.#writer.write(qos, packetId, reasonCode, reasonString)
      else if (qos === 2) this.#writer.forget(packetId, error)
      count += 1
    }
    if (count === 0) return
    this.#waiting.splice(0, count)
    if (this.#waiting.length < this.#writer.limit) this.#writer.crowded(false)
  }
}
