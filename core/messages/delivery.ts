import type { QoS } from '../protocol/constants.ts'
import type { Properties } from '../protocol/packets.ts'
import type { Message } from './message.ts'

/**
 * One message on its way to one subscriber, as `onDeliver` sees it. What a tap changes here, this subscriber alone gets.
 * Built only where `onDeliver` is used.
 */
export class Delivery {
  /** As it was published; shared, so never changed. */
  readonly message: Message
  /** The QoS of this delivery. */
  readonly qos: QoS
  /** It is sent again, with DUP and its packet identifier, because the session was resumed. The tap makes of it anew what the client is to get. */
  readonly repeat: boolean
  /** The topic name that the subscriber gets. */
  topic: string
  /** The RETAIN flag of this delivery. */
  retain: boolean
  /** The MQTT 5 properties; `undefined`: none. Replace them rather than change them: they are shared. */
  properties: Properties | undefined
  #payload: Buffer | undefined

  constructor(message: Message, qos: QoS, retain: boolean, repeat: boolean) {
    this.message = message
    this.qos = qos
    this.repeat = repeat
    this.topic = message.topic
    this.retain = retain
    this.properties = message.properties
    this.#payload = undefined
  }

  /** The payload; what is set here is what the subscriber gets. A text is taken as UTF-8. */
  get payload(): Buffer {
    return this.#payload ?? this.message.payload
  }

  set payload(payload: Buffer | Uint8Array | string) {
    this.#payload = typeof payload === 'string' ? Buffer.from(payload) : Buffer.isBuffer(payload) ? payload : Buffer.from(payload)
  }

  /** A tap changed something, so that the shared frame does not serve. */
  get changed(): boolean {
    const { message } = this
    return this.#payload !== undefined || this.topic !== message.topic || this.properties !== message.properties
  }
}
