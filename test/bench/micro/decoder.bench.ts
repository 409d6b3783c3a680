import mqttPacket from 'mqtt-packet'
import type { Bench } from 'tinybench'
import { PacketType } from '../../../core/protocol/constants.ts'
import { TopicCache } from '../../../core/protocol/topic-cache.ts'
import { encodePacket, PacketDecoder } from '../../../presets/testing/packet-codec.ts'

// Reads 100 publishes that lie in one chunk, as a busy connection brings them: what of the time between read() and routing is
// spent on bytes. npm's mqtt-packet, which most Node programs use, stands beside it.

export const title = '100 PUBLISH packets of 64 bytes in one chunk'

export function add(bench: Bench): void {
  for (const [name, version, qos] of [
    ['3.1.1, QoS 0', 4, 0],
    ['3.1.1, QoS 1', 4, 1],
    ['5, QoS 1', 5, 1],
  ] as const) {
    const packet = {
      type: PacketType.Publish,
      topic: 'sensors/kitchen/temperature',
      payload: Buffer.alloc(64),
      qos,
      retain: false,
      dup: false,
    } as const
    const one = encodePacket({ ...packet, packetId: qos, properties: undefined }, version)
    const chunk = Buffer.concat(Array.from({ length: 100 }, () => one))
    const sink = { onPacket: () => {}, onPublish: () => {} }
    const decoder = new PacketDecoder(sink, { maximumPacketSize: 1_000_000, receiver: 'client', topics: new TopicCache() })
    decoder.version = version
    bench.add(`this decoder, ${name}`, () => decoder.feed(chunk, 0, chunk.length))
    const parser = mqttPacket.parser({ protocolVersion: version })
    parser.on('packet', () => {})
    bench.add(`mqtt-packet, ${name}`, () => void parser.parse(chunk))
  }
}
