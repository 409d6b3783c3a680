import type { Client } from './client.ts'
import type { Receipt } from './receipt.ts'

interface Waiting {
  readonly qos: 1 | 2
  readonly packetId: number
  readonly reasonCode: number
  readonly reasonString: string | undefined
  settled: boolean
  error: Error | undefined
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

  push(qos: 1 | 2, packetId: number, reasonCode: number, reasonString: string | undefined, receipt: Receipt | null): void {
    const waiting: Waiting = { qos, packetId, reasonCode, reasonString, settled: receipt === null, error: undefined }
    this.#waiting.push(waiting)
    receipt?.onSettled(error => {
      waiting.settled = true
      waiting.error = error
      // Closes the connection, so that nothing behind it leaves either.
      if (error !== undefined) this.#client.unkept(error)
      this.#leave()
    })
    if (this.#waiting.length >= this.#client.broker.settings.mqtt.receiveMaximum) this.#client.hold('acks')
    this.#leave()
  }

  // Goes on after the connection has ended: the session has to know which QoS 2 messages it has and which are to come again.
  #leave(): void {
    let count = 0
    while (count < this.#waiting.length && this.#waiting[count]!.settled) {
      const { qos, packetId, reasonCode, reasonString, error } = this.#waiting[count]!
      if (error === undefined) this.#client.writePublishAck(qos, packetId, reasonCode, reasonString)
      else if (qos === 2) this.#forget(packetId, error)
      count += 1
    }
    if (count === 0) return
    this.#waiting.splice(0, count)
    if (this.#waiting.length < this.#client.broker.settings.mqtt.receiveMaximum) this.#client.release('acks')
  }

  // The message was not kept: the next PUBLISH with its identifier is a new one. A connection that has sent it again already,
  // and waits for this outcome, ends too.
  #forget(packetId: number, error: Error): void {
    const session = this.#client.session!
    session.received?.delete(packetId)
    if (session.joined?.delete(packetId) === true) session.client?.unkept(error)
  }
}
