import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ProtocolVersion } from '../../core/protocol/constants.ts'
import { Decoder } from '../../core/protocol/decoder.ts'
import { encodePacket } from '../../core/protocol/encoder.ts'
import type { Receiver } from '../../core/protocol/headers.ts'
import type { Packet } from '../../core/protocol/packets.ts'
import { aClientPacket, aServerPacket } from './arbitraries.ts'
import { comparable, theirBytes, theirNormal, theirReading, toTheirs } from './oracle.ts'

function ourReading(bytes: Buffer, version: ProtocolVersion, receiver: Receiver): Packet {
  const packets: Packet[] = []
  const decoder = new Decoder({ onPacket: packet => void packets.push(packet) }, { maximumPacketSize: 268_435_460, receiver })
  decoder.version = version
  if (receiver === 'server' && bytes[0] !== 0x10) {
    const before = encodePacket(
      {
        type: 1,
        version,
        bridge: false,
        clientId: 'c',
        cleanStart: true,
        keepAlive: 0,
        username: undefined,
        password: undefined,
        will: undefined,
        properties: undefined,
      },
      version,
    )
    decoder.feed(before, 0, before.length)
    packets.length = 0
  }
  decoder.feed(bytes, 0, bytes.length)
  expect(packets).toHaveLength(1)
  return packets[0]!
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
          expect(comparable(ourReading(bytes, version, receiver))).toEqual(comparable(packet))
        }),
        { numRuns: 400 },
      )
    },
  )
})
