import type { ProtocolVersion, QoS } from '../protocol/constants.ts'
import { encodePublish, framePayloadMax, publishHeader } from '../protocol/encoder.ts'
import type { InboundPublish } from '../protocol/inbound-publish.ts'
import type { Properties } from '../protocol/packets.ts'
import { PublishFrame } from '../protocol/publish-frame.ts'
import { Slab } from './slab.ts'

/** Where a message came from. `client` and `will` enter at `onPublish`; `server` and `peer` at `onRoute`. */
export type Origin = 'client' | 'will' | 'server' | 'peer'

/** What a new message is made of. */
export interface MessageFields {
  /** The topic name. */
  topic: string
  /** Not looked at where the message is made of an inbound publish. */
  payload: Buffer
  /** The QoS that the message is published with. */
  qos: QoS
  /** The message is to be retained. */
  retain: boolean
  /** The MQTT 5 properties; `undefined`: none. */
  properties?: Properties | undefined
  /** Where the message comes from. */
  origin: Origin
  /** The publisher's client id; empty for the broker itself. */
  clientId: string
  /** The publisher's user name; null: it had none. `undefined`: unknown, an older version stored the message, or there is no publisher. */
  username?: string | null | undefined
  /** Milliseconds since the Unix epoch. */
  receivedAt: number
}

/**
 * One application message, shared by all who receive it. `onPublish` may change topic, payload, QoS, retain and properties;
 * from `onRoute` on it is read only.
 */
export class Message {
  /** The QoS that the message was published with. `onPublish` may lower it. */
  qos: QoS
  /** The message is to be retained. `onPublish` may change it. */
  retain: boolean
  /** Where the message came from. */
  readonly origin: Origin
  /** The publisher's client id; empty for the broker itself. */
  readonly clientId: string
  /** The publisher's user name; null: it had none. `undefined`: unknown, an older version stored the message, or there is no publisher. */
  readonly username: string | null | undefined
  /** Milliseconds since the Unix epoch: message expiry counts from here. */
  readonly receivedAt: number
  /**
   * When the message was read, if its way to its subscribers is timed; null: it is not.
   *
   * @internal
   */
  timedFrom: { readonly at: number } | null
  #topic: string
  #properties: Properties | undefined
  #payload: Buffer | null
  // A publish as it came is already the wire form that most receivers get, so it is kept whole: what a subscriber gets is
  // copied from here, and nothing is encoded. `#start` and `#end` are the packet's, the others lie between.
  #wire: Buffer | null
  #start: number
  #packetIdAt: number
  #payloadAt: number
  #end: number
  // Which receivers it fits, see `kindOf`; none where it held a topic alias, and once topic or properties have changed.
  #wireKind: number
  // Where the wire form lies, see `Place`.
  #place: Place
  // One frame for each (version 5 or not, QoS, retain): a message to 10,000 subscribers is encoded once, not 10,000 times.
  // Most messages need one only, which stands in a field of its own.
  #frame: PublishFrame | null
  #frameKey: number
  #frames: (PublishFrame | undefined)[] | undefined

  constructor(fields: MessageFields, publish: InboundPublish | null = null) {
    this.qos = fields.qos
    this.retain = fields.retain
    this.origin = fields.origin
    this.clientId = fields.clientId
    this.username = fields.username
    this.receivedAt = fields.receivedAt
    this.timedFrom = null
    this.#topic = fields.topic
    this.#properties = fields.properties
    this.#payload = publish === null ? fields.payload : null
    this.#wire = null
    this.#start = 0
    this.#packetIdAt = 0
    this.#payloadAt = 0
    this.#end = 0
    this.#wireKind = noKind
    this.#place = Place.own
    this.#frame = null
    this.#frameKey = -1
    this.#frames = undefined
    if (publish !== null) {
      this.#wire = publish.bytes
      this.#start = publish.start
      this.#packetIdAt = publish.packetIdAt
      this.#payloadAt = publish.payloadAt
      this.#end = publish.end
      this.#place = publish.owned ? Place.own : Place.read
      // An alias means something on its own connection only [MQTT-3.3.2-7].
      this.#wireKind = publish.aliased ? noKind : kindOf(publish.version, publish.qos)
    }
  }

  /** The topic name. */
  get topic(): string {
    return this.#topic
  }

  set topic(topic: string) {
    this.#topic = topic
    this.changed()
  }

  /** What MQTT 5 carries with a message; never a topic alias. `undefined` where there is nothing. */
  get properties(): Properties | undefined {
    return this.#properties
  }

  set properties(properties: Properties | undefined) {
    this.#properties = properties
    this.changed()
  }

  /** The wire form that it came in no longer fits: called when taps have had the chance to change what `properties` holds. */
  changed(): void {
    this.#wireKind = noKind
    this.#forgetFrames()
  }

  /** The payload, good for ever: the first touch copies it out of the read buffer. */
  get payload(): Buffer {
    if (this.#place === Place.read) this.own()
    this.#payload ??= this.#wire!.subarray(this.#payloadAt, this.#end)
    return this.#payload
  }

  set payload(payload: Buffer | Uint8Array | string) {
    this.#payload = typeof payload === 'string' ? Buffer.from(payload) : Buffer.isBuffer(payload) ? payload : Buffer.from(payload)
    this.#wire = null
    this.changed()
  }

  /** Bytes of the payload; does not copy it. */
  get payloadLength(): number {
    return this.#wire === null ? this.#payload!.length : this.#end - this.#payloadAt
  }

  /** Copies what still lies in the read buffer. Whoever keeps a message beyond the current call does this first. */
  own(): this {
    if (this.#place === Place.read && this.#wire !== null) this.#moveTo(inFlight, Place.shared)
    return this
  }

  /** Copies the message to where it keeps little else in memory: whoever stores it for long, or many of them, does this first. */
  compact(): this {
    const wire = this.#wire
    if (wire === null || this.#place === Place.kept || (this.#place === Place.own && wire.length === this.#end - this.#start)) return this
    this.#payload = null
    this.#moveTo(stored, Place.kept)
    return this
  }

  #moveTo(slab: Slab, place: Place): void {
    const start = this.#start
    slab.keep(this.#wire!, start, this.#end)
    this.#wire = slab.buffer
    this.#move(slab.at - start)
    this.#place = place
    // Frames point to where it lay.
    this.#forgetFrames()
  }

  #move(by: number): void {
    this.#start += by
    this.#packetIdAt += by
    this.#payloadAt += by
    this.#end += by
  }

  #forgetFrames(): void {
    this.#frame = null
    this.#frameKey = -1
    this.#frames = undefined
  }

  /** When it expires, milliseconds since the Unix epoch; `Infinity` where it never does. */
  get expiresAt(): number {
    const seconds = this.#properties?.messageExpiry
    return seconds === undefined ? Number.POSITIVE_INFINITY : this.receivedAt + seconds * 1000
  }

  /** The wire form, shared by all receivers with the same version, QoS and retain flag. */
  frame(version: ProtocolVersion, qos: QoS, retain: boolean): PublishFrame {
    const key = (version === 5 ? 6 : 0) + qos * 2 + (retain ? 1 : 0)
    if (key === this.#frameKey) {
      if (!this.#frame!.shared) this.#frame = this.#share(key, version, qos, retain)
      return this.#frame!
    }
    this.#ownLarge()
    if (this.#frameKey === -1) {
      this.#frameKey = key
      this.#frame = this.#newFrame(version, qos, retain)
      return this.#frame
    }
    const known = this.#frames?.[key]
    if (known !== undefined) return known
    const frame = this.#share(-1, version, qos, retain)
    // Where sharing took the bytes out of the read buffer, no other frame is known any more.
    if (this.#frameKey === -1) {
      this.#frameKey = key
      this.#frame = frame
    } else {
      this.#frames ??= []
      this.#frames[key] = frame
    }
    return frame
  }

  // A second receiver: from now on connections refer to one copy. `key`: that of the one frame that is kept apart.
  #share(key: number, version: ProtocolVersion, qos: QoS, retain: boolean): PublishFrame {
    const frame = this.own().#newFrame(version, qos, retain).share()
    if (key !== -1) this.#frameKey = key
    return frame
  }

  #newFrame(version: ProtocolVersion, qos: QoS, retain: boolean): PublishFrame {
    if (kindOf(version, qos) !== this.#wireKind) {
      return encodePublish(this.#topic, this.#bytes(), qos, retain, false, this.#properties, version)
    }
    const start = this.#start
    const apart = this.#end - this.#payloadAt > framePayloadMax
    const headLength = (apart ? this.#payloadAt : this.#end) - start
    const packetIdAt = qos > 0 ? this.#packetIdAt - start : -1
    const header = publishHeader(qos, retain, false)
    return new PublishFrame(this.#wire!, start, headLength, header, packetIdAt, apart ? this.payload : null, false)
  }

  /** The protocol version of `wireFrame`: 4 or 5. */
  get wireVersion(): ProtocolVersion {
    return this.#wireKind === kindOf(4, 0) || this.#wireKind === kindOf(4, 1) ? 4 : 5
  }

  /** The PUBLISH by which another process of this broker gets the message: as it came, where nothing has changed. Good in this call only. */
  wireFrame(): PublishFrame {
    return this.#newFrame(this.wireVersion, this.qos, this.retain)
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
    return encodePublish(topic, payload ?? this.#bytes(), qos, retain, false, properties, version)
  }

  // The payload for this call only, wherever it lies.
  #bytes(): Buffer {
    return this.#place === Place.read && this.#wire !== null ? this.#wire.subarray(this.#payloadAt, this.#end) : this.payload
  }

  // A frame holds a large payload by reference, and leaves only at the end of the turn, when the read buffer may hold other bytes.
  #ownLarge(): void {
    if (this.#place === Place.read && this.#end - this.#payloadAt > framePayloadMax) this.own()
  }
}

/** Where a wire form lies. */
const Place = {
  /** In the shared read buffer, which the next read overwrites. */
  read: 0,
  /** With others that are in flight. */
  shared: 1,
  /** In a buffer of its own. */
  own: 2,
  /** With others that are stored, or in a buffer of just its size. */
  kept: 3,
} as const
type Place = (typeof Place)[keyof typeof Place]

const noKind = -1
// With the bytes of others in flight, which will soon have left.
const inFlight = new Slab(4096, 1024)
// A buffer object of its own costs 400 bytes, so eight and more small messages that are stored share one (a retained topic: 1,160 → 925 bytes).
// Of those that share one the last may keep it alive alone.
const stored = new Slab(1024, 128)

/** Wire forms fit receivers of the same format: with or without properties, with or without a packet identifier. */
function kindOf(version: ProtocolVersion, qos: QoS): number {
  return (version === 5 ? 2 : 0) + (qos > 0 ? 1 : 0)
}
