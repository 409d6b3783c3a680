import { beginSubscribe, beginUnsubscribe, finishSubscribe, finishUnsubscribe, readFilter, readRequest } from './bodies.ts'
import { PacketType, type ProtocolVersion } from './constants.ts'
import type { SubscribePacket, UnsubscribePacket } from './packets.ts'
import { Reader } from './reader.ts'

/** A body longer than this is not read in one step: two mebibytes hold 700,000 filters, and a hundred clients may send at once. */
export const longBody = 4096

/** A SUBSCRIBE or UNSUBSCRIBE that is read a few filters at a time, from a copy of its body. */
export class ManyFilters {
  readonly type: typeof PacketType.Subscribe | typeof PacketType.Unsubscribe
  /** Bytes of the body. */
  readonly size: number
  readonly #reader: Reader
  readonly #five: boolean
  #packet: SubscribePacket | UnsubscribePacket | null = null

  constructor(type: ManyFilters['type'], body: Buffer, version: ProtocolVersion, userPropertiesMax?: number) {
    this.type = type
    this.size = body.length
    this.#reader = new Reader()
    this.#reader.reset(body, 0, body.length, userPropertiesMax)
    this.#five = version === 5
  }

  /** Reads on, at most `limit` filters; the packet once it is whole, `null` before. Throws an `MqttError` for what breaks the protocol. */
  read(limit: number): SubscribePacket | UnsubscribePacket | null {
    const reader = this.#reader
    const five = this.#five
    this.#packet ??= this.type === PacketType.Subscribe ? beginSubscribe(reader, five) : beginUnsubscribe(reader, five)
    const packet = this.#packet
    for (let left = limit; left > 0 && reader.left > 0; left--) {
      if (packet.type === PacketType.Subscribe) packet.subscriptions.push(readRequest(reader, five))
      else packet.filters.push(readFilter(reader))
    }
    if (reader.left > 0) return null
    return packet.type === PacketType.Subscribe ? finishSubscribe(packet) : finishUnsubscribe(packet)
  }
}
