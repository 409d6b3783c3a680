import type { ProtocolVersion, QoS } from './protocol/constants.ts'
import type { PublishFrame } from './protocol/encoder.ts'
import { encodePublish, framePayloadMax } from './protocol/encoder.ts'
import type { Properties } from './protocol/packets.ts'

/** Where a message came from. `client` and `will` enter at `onPublish`; `server` and `peer` at `onRoute`. */
export type Origin = 'client' | 'will' | 'server' | 'peer'

/** What a new message is made of. */
export interface MessageFields {
  topic: string
  payload: Buffer
  qos: QoS
  retain: boolean
  properties?: Properties | undefined
  origin: Origin
  /** The publisher's client id; empty for the broker itself. */
  clientId: string
  /** Milliseconds since the Unix epoch. */
  receivedAt: number
}

/**
 * One application message, shared by all who receive it. `onPublish` may change topic, payload, QoS, retain and properties;
 * from `onRoute` on it is read only.
 */
export class Message {
  /** The topic name. */
  topic: string
  qos: QoS
  retain: boolean
  /** What MQTT 5 carries with a message; never a topic alias. `undefined` where there is nothing. */
  properties: Properties | undefined
  readonly origin: Origin
  readonly clientId: string
  /** Milliseconds since the Unix epoch: message expiry counts from here. */
  readonly receivedAt: number
  #payload: Buffer
  // The payload still lies in the shared read buffer, which the next read overwrites.
  #borrowed: boolean
  // One frame for each (version 5 or not, QoS, retain): a message to 10,000 subscribers is encoded once, not 10,000 times.
  #frames: (PublishFrame | undefined)[] | undefined

  constructor(fields: MessageFields, borrowed = false) {
    this.topic = fields.topic
    this.qos = fields.qos
    this.retain = fields.retain
    this.properties = fields.properties
    this.origin = fields.origin
    this.clientId = fields.clientId
    this.receivedAt = fields.receivedAt
    this.#payload = fields.payload
    this.#borrowed = borrowed
    this.#frames = undefined
  }

  /** The payload, good for ever: the first touch copies it out of the read buffer. */
  get payload(): Buffer {
    if (this.#borrowed) this.own()
    return this.#payload
  }

  set payload(payload: Buffer | Uint8Array | string) {
    this.#payload = typeof payload === 'string' ? Buffer.from(payload) : Buffer.isBuffer(payload) ? payload : Buffer.from(payload)
    this.#borrowed = false
    this.#frames = undefined
  }

  /** Bytes of the payload; does not copy it. */
  get payloadLength(): number {
    return this.#payload.length
  }

  /** Copies what still lies in the read buffer. Whoever keeps a message beyond the current call does this first. */
  own(): this {
    if (this.#borrowed) {
      this.#payload = Buffer.from(this.#payload)
      this.#borrowed = false
    }
    return this
  }

  /** When it expires, milliseconds since the Unix epoch; `Infinity` where it never does. */
  get expiresAt(): number {
    const seconds = this.properties?.messageExpiry
    return seconds === undefined ? Number.POSITIVE_INFINITY : this.receivedAt + seconds * 1000
  }

  /** The wire form with packet id 0, shared by all receivers with the same version, QoS and retain flag. */
  frame(version: ProtocolVersion, qos: QoS, retain: boolean): PublishFrame {
    this.#ownLarge()
    this.#frames ??= new Array(12).fill(undefined)
    const index = (version === 5 ? 6 : 0) + qos * 2 + (retain ? 1 : 0)
    return (this.#frames[index] ??= encodePublish(this.topic, this.#payload, qos, retain, false, this.properties, version))
  }

  /** A wire form of one receiver's own: other properties, or a topic alias. */
  frameWith(
    version: ProtocolVersion,
    topic: string,
    qos: QoS,
    retain: boolean,
    properties: Properties | undefined,
    payload: Buffer | undefined,
  ): PublishFrame {
    this.#ownLarge()
    return encodePublish(topic, payload ?? this.#payload, qos, retain, false, properties, version)
  }

  // A frame holds a large payload by reference, and leaves only at the end of the turn, when the read buffer may hold other bytes.
  #ownLarge(): void {
    if (this.#borrowed && this.#payload.length > framePayloadMax) this.own()
  }
}
