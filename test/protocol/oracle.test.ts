import fc from 'fast-check'
import mqtt from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { PacketType, type ProtocolVersion } from '../../core/protocol/constants.ts'
import type { ConnectPacket, Packet } from '../../core/protocol/packets.ts'
import type { Receiver } from '../../presets/testing/packet-codec.ts'
import { encodePacket, PacketDecoder } from '../../presets/testing/packet-codec.ts'
import { aClientPacket, aServerPacket } from './arbitraries.ts'
import { comparable, normal, theirBytes, theirNormal, theirReading, toTheirs } from './oracle.ts'

function ourReading(bytes: Buffer, version: ProtocolVersion, receiver: Receiver): Packet {
  const packets: Packet[] = []
  const decoder = new PacketDecoder({ onPacket: packet => void packets.push(packet) }, { maximumPacketSize: 268_435_460, receiver })
  decoder.version = version
  if (receiver === 'server' && bytes[0] !== 0x10) {
    const before = encodePacket(plainConnect(version), version)
    decoder.feed(before, 0, before.length)
    packets.length = 0
  }
  decoder.feed(bytes, 0, bytes.length)
  expect(packets).toHaveLength(1)
  return packets[0]!
}

function plainConnect(version: ProtocolVersion): ConnectPacket {
  const nothing = { username: undefined, password: undefined, will: undefined, properties: undefined }
  return { type: PacketType.Connect, version, bridge: false, clientId: 'c', cleanStart: true, keepAlive: 0, ...nothing }
}

/** npm's mqtt-packet as a second opinion. */
describe.each([3, 4, 5] as const)('in protocol level %i', version => {
  const sides: [string, fc.Arbitrary<Packet>, Receiver][] = [
    ['a client', aClientPacket(version), 'server'],
    ['a server', aServerPacket(version), 'client'],
  ]

  test.each(sides)('what mqtt-packet writes for %s is read here with the same meaning', (_side, aPacket, receiver) => {
    fc.assert(
      fc.property(aPacket, packet => {
        expect(comparable(ourReading(theirBytes(packet, version), version, receiver))).toEqual(comparable(packet))
      }),
      { numRuns: 400 },
    )
  })

  test.each(sides)(
    'what is written here for %s is read by mqtt-packet with the same meaning, and here again',
    (_side, aPacket, receiver) => {
      fc.assert(
        fc.property(aPacket, packet => {
          const bytes = encodePacket(packet, version)
          expect(theirReading(bytes, version)).toEqual([theirNormal(toTheirs(packet, version))])
          expect(normal(ourReading(bytes, version, receiver))).toEqual(normal(packet))
        }),
        { numRuns: 400 },
      )
    },
  )
})

// mqtt-packet reads it, but does not write it.
test('a password without a user name is read by mqtt-packet in MQTT 5', () => {
  const bytes = encodePacket({ ...plainConnect(5), password: Buffer.from('secret') }, 5)
  expect(theirReading(bytes, 5)).toMatchObject([{ cmd: 'connect', password: `hex:${Buffer.from('secret').toString('hex')}` }])
  expect(theirReading(bytes, 5)).not.toHaveProperty('0.username')
})

// Not PUBREL: mqtt-packet fails to write its DUP flag.
test.each([
  [PacketType.Subscribe, { cmd: 'subscribe', messageId: 7, subscriptions: [{ topic: 'a', qos: 1 }] }],
  [PacketType.Unsubscribe, { cmd: 'unsubscribe', messageId: 7, unsubscriptions: ['a'] }],
] as const)('what mqtt-packet sends again with DUP is read in MQTT 3.1 and refused in 3.1.1: packet type %i', (type, theirs) => {
  const bytes = mqtt.generate({ ...theirs, dup: true } as unknown as mqtt.Packet, { protocolVersion: 3 })
  expect(bytes[0]! & 8).toBe(8)
  expect(ourReading(bytes, 3, 'server')).toMatchObject({ type, packetId: 7 })
  expect(() => ourReading(bytes, 4, 'server')).toThrow('reserved bits')
})
