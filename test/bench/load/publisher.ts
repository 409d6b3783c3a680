import type { Connection } from './connection.ts'
import * as packets from './packets.ts'
import type { Workload } from './workload.ts'

/** Sends one prepared PUBLISH again and again, as far as its window allows. */
export class Publisher {
  readonly connection: Connection
  readonly #packet: Buffer
  readonly #payloadAt: number
  readonly #qos: number
  readonly #window: number
  // Deliveries that make one message delivered.
  readonly #copies: number
  #packetId = 0
  #outstanding = 0
  #copiesLeft: number
  #paced = false
  #allSent: () => void = () => {}
  /** Messages of this run, and how many of them have been sent. */
  messages = 0
  count = 0
  /** Resolves when all have been handed to the socket. */
  sent: Promise<void> = Promise.resolve()

  constructor(connection: Connection, index: number, topic: string, { payload, qos, window }: Workload, copies: number) {
    this.connection = connection
    // The payload begins with the publisher's index, a sequence number, and the moment at which the message was due.
    const body = Buffer.alloc(payload)
    body.writeUInt32LE(index, 0)
    this.#packet = packets.publish(topic, body, qos)
    this.#payloadAt = this.#packet.length - payload
    this.#qos = qos
    this.#window = window === 0 ? Number.POSITIVE_INFINITY : window
    this.#copies = copies
    this.#copiesLeft = copies
  }

  begin(messages: number, paced: boolean): void {
    this.messages = messages
    this.count = 0
    this.#outstanding = 0
    this.#copiesLeft = this.#copies
    this.#paced = paced
    this.sent = new Promise(resolve => {
      this.#allSent = resolve
    })
  }

  /** Sends as much as window and socket take. */
  pump(): void {
    if (this.#paced) return
    while (this.count < this.messages && this.#outstanding < this.#window && !this.connection.blocked) this.#send(0)
  }

  /** Sends one message that was due at this moment. */
  sendOne(dueAt: number): void {
    this.#send(dueAt)
  }

  acked(): void {
    if (this.#qos > 0) this.#freed()
  }

  delivered(): void {
    if (this.#qos > 0) return
    this.#copiesLeft -= 1
    if (this.#copiesLeft > 0) return
    this.#copiesLeft = this.#copies
    this.#freed()
  }

  #freed(): void {
    this.#outstanding -= 1
    if (this.count < this.messages) this.pump()
  }

  #send(dueAt: number): void {
    const { connection } = this
    const at = connection.reserve(this.#packet.length)
    const out = connection.buffer
    out.set(this.#packet, at)
    const payload = at + this.#payloadAt
    if (this.#qos > 0) {
      this.#packetId = this.#packetId === 65_535 ? 1 : this.#packetId + 1
      out[payload - 2] = this.#packetId >>> 8
      out[payload - 1] = this.#packetId & 0xff
    }
    out.writeUInt32LE(this.count, payload + 4)
    if (dueAt > 0) out.writeDoubleLE(dueAt, payload + 8)
    this.count += 1
    this.#outstanding += 1
    if (this.count === this.messages) this.#allSent()
  }
}
