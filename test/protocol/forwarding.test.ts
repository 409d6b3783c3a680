import { Duplex } from 'node:stream'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Flusher } from '../../core/connection/flusher.ts'
import { Outbox } from '../../core/connection/outbox.ts'
import { Message } from '../../core/messages/message.ts'
import { PacketType, type ProtocolVersion, type QoS } from '../../core/protocol/constants.ts'
import { encodePublish } from '../../core/protocol/encoder.ts'
import type { InboundPublish } from '../../core/protocol/inbound-publish.ts'
import type { Packet, Properties, PublishPacket } from '../../core/protocol/packets.ts'
import { SystemClock } from '../../plugins/kit/system-clock.ts'
import { StreamTransport } from '../../plugins/kit/transports/stream-transport.ts'
import { PacketDecoder } from '../../presets/testing/packet-codec.ts'
import { aPublish } from './arbitraries.ts'
import { theirBytes, theirNormal, theirReading, toTheirs } from './oracle.ts'

/** From the bytes of one publisher to the bytes of its subscribers, with mqtt-packet at both ends. */

interface Receiver {
  readonly version: ProtocolVersion
  readonly qos: QoS
  readonly retain: boolean
  readonly packetId: number
  readonly dup: boolean
}

interface Line {
  readonly outbox: Outbox
  readonly bytes: Buffer[]
}

function line(flusher: Flusher): Line {
  const bytes: Buffer[] = []
  const stream = new Duplex({
    write(chunk: Buffer, _encoding, done) {
      bytes.push(Buffer.from(chunk))
      done()
    },
  })
  const transport = new StreamTransport(stream, { protocol: 'memory', listener: 'test', takesBytes: true })
  return { outbox: new Outbox(transport, flusher), bytes }
}

type Lines = Record<ProtocolVersion, Line>

const versions = [3, 4, 5] as const

/** One connection for each version, all on one flusher. */
function connections(): { flusher: Flusher; lines: Lines } {
  const flusher = new Flusher(new SystemClock())
  return { flusher, lines: { 3: line(flusher), 4: line(flusher), 5: line(flusher) } }
}

function readings(lines: Lines): unknown {
  return versions.map(version => theirReading(Buffer.concat(lines[version].bytes), version))
}

/** What each should read. */
function expected(receivers: readonly Receiver[], topic: string, payload: Buffer, properties: Properties | undefined): unknown {
  const reading = (version: ProtocolVersion) => (receiver: Receiver) => {
    const { qos, retain, packetId, dup } = receiver
    const packet: Packet = { type: PacketType.Publish, topic, payload, qos, retain, packetId, dup, properties: undefined }
    if (version === 5) packet.properties = properties
    return theirNormal(toTheirs(packet, version))
  }
  return versions.map(version => receivers.filter(one => one.version === version).map(reading(version)))
}

const aReceiver: fc.Arbitrary<Receiver> = fc
  .record({
    version: fc.constantFrom<ProtocolVersion>(3, 4, 5),
    qos: fc.constantFrom<QoS>(0, 1, 2),
    retain: fc.boolean(),
    packetId: fc.integer({ min: 1, max: 0xffff }),
    dup: fc.boolean(),
  })
  .map(receiver => (receiver.qos === 0 ? { ...receiver, packetId: 0, dup: false } : receiver))
const someReceivers = fc.array(aReceiver, { minLength: 1, maxLength: 8 })

test('one encoded frame serves receivers with packet identifiers and DUP flags of their own', () => {
  fc.assert(
    fc.property(aPublish(5, 'server'), someReceivers, ({ topic, payload, properties }, receivers) => {
      const { flusher, lines } = connections()
      for (const { version, qos, retain, packetId, dup } of receivers) {
        const frame = encodePublish(topic, payload, qos, retain, false, properties, version)
        lines[version].outbox.publish(frame, packetId, dup)
        lines[version].outbox.publish(frame.share(), packetId, dup)
      }
      flusher.flush()

      const twice = receivers.flatMap(receiver => [receiver, receiver])
      expect(readings(lines)).toEqual(expected(twice, topic, payload, properties))
    }),
    { numRuns: 200 },
  )
})

/** A PUBLISH as the decoder hands it over, in bytes that are lent; they are overwritten when `use` returns. */
function arriving(packet: PublishPacket, version: ProtocolVersion, cut: number, use: (publish: InboundPublish) => void): void {
  const sink = { onPacket: () => {}, onPublish: use }
  const decoder = new PacketDecoder(sink, { maximumPacketSize: 65_536, receiver: 'client' })
  decoder.version = version
  const bytes = Buffer.concat([Buffer.from([0xd0, 0x00]), theirBytes(packet, version), Buffer.from([0xd0, 0x00])])
  const at = Math.min(cut, bytes.length)
  for (const piece of [bytes.subarray(0, at), bytes.subarray(at)]) {
    const lent = Buffer.from(piece)
    decoder.feed(lent, 0, lent.length)
    lent.fill(0xee)
  }
}

const anArrival = fc
  .constantFrom<ProtocolVersion>(3, 4, 5)
  .chain(version => fc.record({ version: fc.constant(version), packet: aPublish(version, 'client'), cut: fc.nat(80) }))
const aRewrite = fc.record({ topic: fc.constantFrom(undefined, 'other/topic'), payload: fc.constantFrom(undefined, 'other payload') })

test('a publish is forwarded with its meaning whatever it came in, to whatever it goes', () => {
  fc.assert(
    fc.property(anArrival, someReceivers, aRewrite, ({ version, packet, cut }, receivers, rewrite) => {
      const { topicAlias, ...others } = packet.properties ?? {}
      const properties = Object.keys(others).length === 0 ? undefined : others
      const topic = rewrite.topic ?? (packet.topic || 'aliased')
      const payload = rewrite.payload === undefined ? packet.payload : Buffer.from(rewrite.payload)

      const { flusher, lines } = connections()
      arriving(packet, version, cut, publish => {
        const { qos, retain } = publish
        const fields = { topic: publish.topic || 'aliased', payload: Buffer.alloc(0), qos, retain, properties }
        const message = new Message({ ...fields, origin: 'client', clientId: 'c', receivedAt: 0 }, publish)
        if (rewrite.topic !== undefined) message.topic = rewrite.topic
        if (rewrite.payload !== undefined) message.payload = rewrite.payload
        for (const receiver of receivers) {
          const frame = message.frame(receiver.version, receiver.qos, receiver.retain)
          lines[receiver.version].outbox.publish(frame, receiver.packetId, receiver.dup)
        }
      })
      flusher.flush()

      expect(readings(lines)).toEqual(expected(receivers, topic, payload, properties))
    }),
    { numRuns: 300 },
  )
})
