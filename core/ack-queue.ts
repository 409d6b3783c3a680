import type { Client } from './client.ts'
import type { Receipt } from './receipt.ts'

interface Waiting {
  readonly qos: 1 | 2
  readonly packetId: number
  readonly reasonCode: number
  settled: boolean
}

/**
 * Acknowledgements leave in the order of the publishes that they answer [MQTT-4.6.0-2] [MQTT-4.6.0-3], though the stores
 * behind them may answer in any order. Bounded by Receive Maximum, and by not reading.
 */
export class AckQueue {
  readonly #client: Client
  #waiting: Waiting[]

  constructor(client: Client) {
    this.#client = client
    this.#waiting = []
  }

  get length(): number {
    return this.#waiting.length
  }

  push(qos: 1 | 2, packetId: number, reasonCode: number, receipt: Receipt | null): void {
    const waiting = { qos, packetId, reasonCode, settled: receipt === null || receipt.settled }
    this.#waiting.push(waiting)
    if (!waiting.settled) {
      receipt!.onSettled(error => {
        if (error !== undefined) return this.#client.unkept(error)
        waiting.settled = true
        this.#leave()
      })
    }
    if (this.#waiting.length >= this.#client.broker.settings.mqtt.receiveMaximum) this.#client.hold('acks')
    this.#leave()
  }

  #leave(): void {
    let count = 0
    while (count < this.#waiting.length && this.#waiting[count]!.settled) {
      const { qos, packetId, reasonCode } = this.#waiting[count]!
      this.#client.writePublishAck(qos, packetId, reasonCode, undefined)
      count += 1
    }
    if (count === 0) return
    this.#waiting.splice(0, count)
    if (this.#waiting.length < this.#client.broker.settings.mqtt.receiveMaximum) this.#client.release('acks')
  }
}
