import { PacketType, type ProtocolVersion, type QoS } from './constants.ts'
import type { Properties, PublishPacket } from './packets.ts'

const noBytes = Buffer.alloc(0)

/**
 * A PUBLISH where it lies in the bytes that were read. A decoder has one of these and fills it anew for each packet, so that
 * a publish costs no objects before the broker knows what becomes of it: good until the sink returns, `clone` keeps it.
 */
export class InboundPublish implements PublishPacket {
  readonly type = PacketType.Publish
  dup = false
  qos: QoS = 0
  retain = false
  /** Empty when MQTT 5's topic alias stands for it. */
  topic = ''
  /** The packet identifier; 0 at QoS 0. */
  packetId = 0
  properties: Properties | undefined = undefined
  /** The protocol level that these bytes are in. */
  version: ProtocolVersion = 4
  /** The whole packet is `bytes` from `start` to `end`; its packet identifier, if it has one, is at `packetIdAt`. */
  bytes: Buffer = noBytes
  /** Where in `bytes` the packet begins. */
  start = 0
  /** Where in `bytes` the packet identifier is; no meaning at QoS 0. */
  packetIdAt = 0
  /** Where in `bytes` the payload begins. */
  payloadAt = 0
  /** Where in `bytes` the packet ends; so does the payload. */
  end = 0
  /** The packet holds a topic alias. */
  aliased = false
  /** The bytes are a buffer of this packet's own, which nobody writes to again. */
  owned = false

  get payload(): Buffer {
    return this.bytes.subarray(this.payloadAt, this.end)
  }

  /** Bytes of the payload. */
  get payloadLength(): number {
    return this.end - this.payloadAt
  }

  /** A copy that is good for ever. */
  clone(): InboundPublish {
    const copy = new InboundPublish()
    const { start } = this
    copy.dup = this.dup
    copy.qos = this.qos
    copy.retain = this.retain
    copy.topic = this.topic
    copy.packetId = this.packetId
    copy.properties = this.properties
    copy.version = this.version
    copy.bytes = Buffer.from(this.bytes.subarray(start, this.end))
    copy.packetIdAt = this.packetIdAt - start
    copy.payloadAt = this.payloadAt - start
    copy.end = this.end - start
    copy.aliased = this.aliased
    copy.owned = true
    return copy
  }

  /** Keeps no reference to bytes that belong to this packet alone. */
  forget(): void {
    this.bytes = noBytes
  }

  /** The packet as a plain object, whose payload is good as long as `bytes` are. */
  packet(): PublishPacket {
    const { type, dup, qos, retain, topic, packetId, properties, payload } = this
    return { type, dup, qos, retain, topic, packetId, properties, payload }
  }
}
