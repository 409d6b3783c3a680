import { MqttError } from '../errors.ts'
import { ReasonCode } from '../reason.ts'
import { decodeBody } from './bodies.ts'
import { PacketType, type ProtocolVersion, type QoS } from './constants.ts'
import { clientFaults, firstFault, type HeaderFault, isRepeat } from './headers.ts'
import { InboundPublish } from './inbound-publish.ts'
import { longBody, ManyFilters } from './many-filters.ts'
import type { Packet, Properties } from './packets.ts'
import { Carrier, readProperties } from './properties.ts'
import { malformed, protocolError, Reader } from './reader.ts'
import { type CachedTopic, isSame, readTopicName, type TopicCache } from './topic-cache.ts'

export interface PacketSink {
  /** One whole packet. It may hold views into the bytes that were read: they are good until the call returns. */
  onPacket(packet: Packet): void
  /** A PUBLISH, where the sink wants it as it lies in the bytes that were read; else it goes to `onPacket`. */
  onPublish?(publish: InboundPublish): void
  /** A long SUBSCRIBE or UNSUBSCRIBE, where the sink wants to read it by and by; else it goes to `onPacket`. */
  onManyFilters?(packet: ManyFilters): void
}

/** One side of a connection, by what it sends. */
export interface Peer {
  /** What is wrong with each first byte of its packets; null for nothing. */
  readonly faults: readonly (HeaderFault | null)[]
  /** Reads the body of any of its packets but PUBLISH. */
  body(type: number, reader: Reader, context: { version: ProtocolVersion }): Packet
}

const client: Peer = { faults: clientFaults, body: decodeBody }

export interface DecoderOptions {
  /** Bytes of a whole packet; looked at before its body is read. */
  readonly maximumPacketSize: number
  /** Who sends what is read. Default: a client. */
  readonly peer?: Peer
  /** User properties that a packet may hold. Default: any number. */
  readonly userPropertiesMax?: number
  /** Spares the decoding of topic names that were seen before. */
  readonly topics?: TopicCache
}

// A body is read in one step, so one reader serves all decoders.
const reader = new Reader()

/** The bytes of a packet's fixed header are not all there yet. */
const incomplete = -1

/**
 * Bytes in, packets out. Whole packets are read where they lie; of a packet that is not complete only what has arrived is
 * kept, in a buffer that grows with it. Nothing is allocated on the word of a length field.
 */
export class Decoder {
  /** Set by CONNECT; a client's decoder is told. */
  version: ProtocolVersion = 4
  maximumPacketSize: number
  /** Rises each time that the beginning of a packet is kept, so that one which never ends can be told from one after the other. */
  begun = 0
  readonly #sink: PacketSink
  readonly #peer: Peer
  readonly #topics: TopicCache | null
  // Most clients publish to one topic again and again: comparing spares the hash, 20 of 215 ns that a message costs.
  #lastTopic: CachedTopic | null
  readonly #userPropertiesMax: number
  #publish: InboundPublish | null = null
  #connected: boolean
  #paused = false
  // The beginning of a packet, or everything since a pause: from `start` to `end` of a buffer of its own.
  #kept: Buffer | null = null
  #keptStart = 0
  #keptEnd = 0
  // The length of the packet whose beginning is kept; 0: not known yet.
  #total = 0
  #running = false
  // What is being read was put together here, and is forgotten afterwards.
  #ownBytes = false

  constructor(sink: PacketSink, { maximumPacketSize, peer = client, topics, userPropertiesMax }: DecoderOptions) {
    this.maximumPacketSize = maximumPacketSize
    this.#sink = sink
    this.#peer = peer
    this.#topics = topics ?? null
    this.#lastTopic = null
    this.#userPropertiesMax = userPropertiesMax ?? Number.POSITIVE_INFINITY
    this.#connected = peer !== client
  }

  /** Bytes that wait for the rest of their packet, or for `resume`. */
  get pendingBytes(): number {
    return this.#keptEnd - this.#keptStart
  }

  /** Bytes allocated for what waits. */
  get pendingCapacity(): number {
    return this.#kept?.length ?? 0
  }

  /** Takes bytes; calls the sink for each packet that they complete. Throws an `MqttError` for what breaks the protocol. */
  feed(chunk: Buffer, start: number, end: number): void {
    let at = start
    if (this.#kept !== null) {
      if (this.#paused) return this.#keep(chunk, at, end)
      at = this.#complete(chunk, at, end)
      if (this.#paused && at < end) return this.#keep(chunk, at, end)
      if (at === end) return
    }
    at = this.#paused ? at : this.#run(chunk, at, end)
    if (at < end) this.#keep(chunk, at, end)
  }

  /** Stops after the packet that is being handled; what follows is kept. */
  pause(): void {
    this.#paused = true
  }

  /** Goes on with what was kept. */
  resume(): void {
    this.#paused = false
    // Called by the sink itself: the loop that called it goes on by itself.
    if (this.#running || this.#kept === null) return
    this.#runKept(this.#keptEnd)
  }

  /**
   * Reads what was kept, up to `end`. What is left stays where it lies while it fills half of its buffer: a client that is paused
   * after each packet would else have all that it sent copied each time (1,000 of them at 10 messages a second: 35 % of a core, now 4 %).
   */
  #runKept(end: number): void {
    const kept = this.#kept!
    const start = this.#keptStart
    this.#kept = null
    this.#keptStart = 0
    this.#keptEnd = 0
    this.#ownBytes = true
    let at: number
    try {
      at = this.#run(kept, start, end)
    } finally {
      this.#ownBytes = false
    }
    if (at === end) return
    if ((end - at) * 2 < kept.length) return this.#keep(kept, at, end)
    this.begun += 1
    this.#kept = kept
    this.#keptStart = at
    this.#keptEnd = end
  }

  /** Reads packets where they lie; returns where it stopped. */
  #run(bytes: Buffer, start: number, end: number): number {
    let at = start
    this.#running = true
    try {
      while (at < end && !this.#paused) {
        const total = this.#measure(bytes, at, end)
        if (total === incomplete || at + total > end) {
          this.#total = total
          break
        }
        this.#packet(bytes, at, at + total)
        at += total
      }
    } finally {
      this.#running = false
    }
    return at
  }

  /** Adds to a packet that began in an earlier chunk just what it lacks, so that what follows can be read where it lies. */
  #complete(chunk: Buffer, start: number, end: number): number {
    let at = start
    for (;;) {
      const total = this.#measure(this.#kept!, this.#keptStart, this.#keptEnd)
      if (total === incomplete) {
        if (at === end) return at
        this.#keep(chunk, at, at + 1)
        at += 1
        continue
      }
      this.#total = total
      const lacks = total - this.pendingBytes
      if (lacks > end - at) {
        this.#keep(chunk, at, end)
        return end
      }
      if (lacks > 0) this.#keep(chunk, at, at + lacks)
      // After a pause more than one packet may have been kept.
      this.#runKept(this.#keptEnd)
      at += Math.max(0, lacks)
      if (this.#kept === null || this.#paused) return at
    }
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    const size = end - start
    if (this.#kept === null) this.begun += 1
    if (this.#kept === null || this.#kept.length < this.#keptEnd + size) {
      // Never moved within its buffer: a message may have kept that.
      const held = this.pendingBytes
      const needed = held + size
      // At most four times what has come, whatever length the packet says it has: 256 KiB are copied once, and not again at each growth.
      const grown = this.#total > needed ? Math.min(this.#total, needed * 4) : Math.min(held * 2, held + 1_048_576)
      const larger = Buffer.allocUnsafeSlow(Math.max(64, needed, grown))
      this.#kept?.copy(larger, 0, this.#keptStart, this.#keptEnd)
      this.#kept = larger
      this.#keptStart = 0
      this.#keptEnd = held
    }
    bytes.copy(this.#kept, this.#keptEnd, start, end)
    this.#keptEnd += size
  }

  /** The length of the packet that begins at `at`, header included; `incomplete` while its length field is. */
  #measure(bytes: Buffer, at: number, end: number): number {
    const fault = this.#connected ? this.#peer.faults[bytes[at]!]! : firstFault(bytes[at]!)
    if (fault !== null && !(this.version === 3 && isRepeat(bytes[at]!)))
      throw new MqttError(fault.reasonCode, fault.message, fault.ofRequest)
    let length = 0
    for (let i = 1; i <= 4; i++) {
      if (at + i >= end) return incomplete
      const byte = bytes[at + i]!
      length |= (byte & 0x7f) << (7 * (i - 1))
      if (byte < 0x80) {
        if (byte === 0 && i > 1) throw malformed('the remaining length has more bytes than it needs') // [MQTT-1.5.5-1]
        const total = 1 + i + length
        if (total > this.maximumPacketSize) {
          throw new MqttError(ReasonCode.PacketTooLarge, `a packet of ${total} bytes is larger than the ${this.maximumPacketSize} allowed`)
        }
        return total
      }
    }
    throw malformed('the remaining length runs past four bytes')
  }

  #packet(bytes: Buffer, start: number, end: number): void {
    const header = bytes[start]!
    let at = start + 1
    while (bytes[at]! > 127) at += 1
    at += 1
    if (header >>> 4 === PacketType.Publish) {
      this.#publish ??= new InboundPublish()
      const publish = this.#publish
      this.#readPublish(publish, bytes, start, at, end)
      const sink = this.#sink
      if (sink.onPublish !== undefined) sink.onPublish(publish)
      else sink.onPacket(publish.packet())
      if (publish.owned) publish.forget()
      return
    }
    const type = header >>> 4
    if (end - at > longBody && (type === PacketType.Subscribe || type === PacketType.Unsubscribe)) {
      const sink = this.#sink
      if (sink.onManyFilters !== undefined) {
        sink.onManyFilters(new ManyFilters(type, Buffer.from(bytes.subarray(at, end)), this.version, this.#userPropertiesMax))
        return
      }
    }
    reader.reset(bytes, at, end, this.#userPropertiesMax)
    const packet = this.#peer.body(type, reader, this)
    if (packet.type === PacketType.Connect) this.#connected = true
    this.#sink.onPacket(packet)
  }

  #readPublish(publish: InboundPublish, bytes: Buffer, start: number, body: number, end: number): void {
    const header = bytes[start]!
    const qos = ((header >>> 1) & 3) as QoS
    let at = body
    if (at + 2 > end) throw malformed('PUBLISH without a topic name')
    const topicLength = (bytes[at]! << 8) | bytes[at + 1]!
    at += 2
    const topicEnd = at + topicLength
    if (topicEnd > end) throw malformed('PUBLISH ends in the middle of its topic name')
    let topic = ''
    if (topicLength > 0) topic = this.#topicName(bytes, at, topicEnd)
    at = topicEnd
    let packetId = 0
    if (qos > 0) {
      if (at + 2 > end) throw malformed('PUBLISH ends in the middle of its packet identifier')
      packetId = (bytes[at]! << 8) | bytes[at + 1]!
      if (packetId === 0) throw protocolError('packet identifier 0') // [MQTT-2.2.1-3]
      at += 2
    }
    let properties: Properties | undefined
    if (this.version === 5) {
      if (at >= end) throw malformed('PUBLISH ends before its properties')
      if (bytes[at] === 0) at += 1
      else {
        reader.reset(bytes, at, end, this.#userPropertiesMax)
        properties = readProperties(reader, Carrier.Publish)
        at = reader.at
        if (properties !== undefined) this.#check(properties)
      }
    }
    if (topicLength === 0 && properties?.topicAlias === undefined) {
      throw this.version === 5
        ? protocolError('PUBLISH with neither topic name nor topic alias')
        : malformed('PUBLISH with an empty topic name')
    }
    publish.dup = (header & 8) !== 0
    publish.qos = qos
    publish.retain = (header & 1) !== 0
    publish.topic = topic
    publish.packetId = packetId
    publish.properties = properties
    publish.version = this.version
    publish.aliased = properties?.topicAlias !== undefined
    publish.bytes = bytes
    publish.start = start
    publish.packetIdAt = topicEnd
    publish.payloadAt = at
    publish.end = end
    // A packet that came in pieces lies in a buffer of its own; it may keep it where it fills most of it.
    publish.owned = this.#ownBytes && (end - start) * 2 > bytes.length
  }

  #topicName(bytes: Buffer, start: number, end: number): string {
    const last = this.#lastTopic
    if (last !== null && isSame(last, bytes, start, end)) return last.topic
    this.#lastTopic = this.#topics?.find(bytes, start, end) ?? null
    return this.#lastTopic?.topic ?? readTopicName(bytes, start, end)
  }

  #check({ topicAlias, subscriptionIdentifiers }: Properties): void {
    if (topicAlias === 0) throw new MqttError(ReasonCode.TopicAliasInvalid, 'topic alias 0') // [MQTT-3.3.2-8]
    if (subscriptionIdentifiers !== undefined && this.#peer === client) {
      throw protocolError('a Subscription Identifier in a PUBLISH from a client') // [MQTT-3.3.4-6]
    }
  }
}
