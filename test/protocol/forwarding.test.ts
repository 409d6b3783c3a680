import { Duplex } from 'node:stream'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Flusher } from '../../core/connection/flusher.ts'
import { Outbox } from '../../core/connection/outbox.ts'
import { StreamTransport } from '../../core/connection/stream-transport.ts'
import { Message } from '../../core/messages/message.ts'
import { PacketType, type ProtocolVersion, type QoS } from '../../core/protocol/constants.ts'
import { Decoder } from '../../core/protocol/decoder.ts'
import { encodePublish } from '../../core/protocol/encoder.ts'
import type { InboundPublish } from '../../core/protocol/inbound-publish.ts'
import type { Packet, Properties, PublishPacket } from '../../core/protocol/packets.ts'
import { aConnect, aPublish } from './arbitraries.ts'
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

/** Sends frames to receivers, each of which reads all that comes for its version. */
function sent(
  receivers: readonly Receiver[],
  send: (receiver: Receiver, outbox: Outbox) => void,
  before: (flusher: Flusher) => void,
): unknown {
  const flusher = new Flusher()
  const lines = { 3: line(flusher), 4: line(flusher), 5: line(flusher) }
  for (const receiver of receivers) send(receiver, lines[receiver.version].outbox)
  before(flusher)
  flusher.flush()
  return Object.fromEntries(([3, 4, 5] as const).map(version => [version, theirReading(Buffer.concat(lines[version].bytes), version)]))
}

/** What each should read. */
function expected(receivers: readonly Receiver[], topic: string, payload: Buffer, properties: Properties | undefined): unknown {
  const reading = (version: ProtocolVersion) => (receiver: Receiver) => {
    const { qos, retain, packetId, dup } = receiver
    const packet: Packet = { type: PacketType.Publish, topic, payload, qos, retain, packetId, dup, properties: undefined }
    if (version === 5) packet.properties = properties
    return theirNormal(toTheirs(packet, version))
  }
  return Object.fromEntries(
    ([3, 4, 5] as const).map(version => [version, receivers.filter(one => one.version === version).map(reading(version))]),
  )
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
      const read = sent(
        receivers,
        ({ version, qos, retain, packetId, dup }, outbox) => {
          const frame = encodePublish(topic, payload, qos, retain, false, properties, version)
          outbox.publish(frame, packetId, dup)
          outbox.publish(frame.share(), packetId, dup)
        },
        () => {},
      )
      const twice = receivers.flatMap(receiver => [receiver, receiver])
      expect(read).toEqual(expected(twice, topic, payload, properties))
    }),
    { numRuns: 200 },
  )
})
