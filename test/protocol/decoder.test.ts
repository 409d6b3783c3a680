import { describe, expect, test } from 'vitest'
import { MqttError } from '../../core/errors.ts'
import { PacketType, type ProtocolVersion } from '../../core/protocol/constants.ts'
import type { InboundPublish } from '../../core/protocol/inbound-publish.ts'
import type { Packet } from '../../core/protocol/packets.ts'
import type { Receiver } from '../../presets/testing/packet-codec.ts'
import { PacketDecoder } from '../../presets/testing/packet-codec.ts'
import { invalidCases } from './invalid-cases.ts'
import { clientCases, serverCases } from './valid-cases.ts'

const connects: Record<ProtocolVersion, string> = {
  3: '100f00064d51497364700302003c000163',
  4: '100d00044d5154540402003c000163',
  5: '100e00044d5154540502003c00000163',
}

const toBytes = (hex: string): Buffer => Buffer.from(hex.replaceAll(/\s/g, ''), 'hex')

/** Feeds chunks to a decoder that is past CONNECT; returns the packets, whose payloads are copied. */
function decode(chunks: readonly Buffer[], version: ProtocolVersion, receiver: Receiver, asPublish: boolean): Packet[] {
  const packets: Packet[] = []
  const keep = (packet: Packet): void => {
    packets.push(packet.type === PacketType.Publish ? { ...packet, payload: Buffer.from(packet.payload) } : packet)
  }
  const sink = asPublish ? { onPacket: keep, onPublish: (publish: InboundPublish) => keep(publish.packet()) } : { onPacket: keep }
  const decoder = new PacketDecoder(sink, { maximumPacketSize: 2_097_152, receiver })
  decoder.version = version
  for (const chunk of chunks) {
    // As a shared read buffer does: what is not kept is gone after the call.
    const lent = Buffer.from(chunk)
    decoder.feed(lent, 0, lent.length)
    lent.fill(0xee)
  }
  expect(decoder.pendingBytes).toBe(0)
  return packets
}

const oneByOne = (bytes: Buffer): Buffer[] => [...bytes].map(byte => Buffer.from([byte]))

const valid = [
  ...clientCases.map(one => ({ ...one, receiver: 'server' as const })),
  ...serverCases.map(one => ({ ...one, receiver: 'client' as const })),
]

describe.each(valid)('reads $name', ({ bytes: hex, version, packet, receiver }) => {
  const bytes = toBytes(hex)
  // A server wants CONNECT first; MQTT tells it the version.
  const isConnect = packet.type === PacketType.Connect
  const before = receiver === 'server' && !isConnect ? toBytes(connects[version]) : Buffer.alloc(0)
  const skip = before.length > 0 ? 1 : 0

  test.each([true, false])('whole, a byte at a time, and among others in one chunk (as a view: %s)', asPublish => {
    expect(decode([before, bytes], version, receiver, asPublish).slice(skip)).toEqual([packet])
    expect(decode([before, ...oneByOne(bytes)], version, receiver, asPublish).slice(skip)).toEqual([packet])
    if (isConnect) return
    const three = Buffer.concat([before, bytes, bytes, bytes])
    expect(decode([three], version, receiver, asPublish).slice(skip)).toEqual([packet, packet, packet])
  })
})

describe.each(invalidCases.filter(({ by }) => by === 'decoder'))('refuses $name', ({ bytes: hex, version, reason, first }) => {
  test('whole and a byte at a time', () => {
    const before = first === true ? Buffer.alloc(0) : toBytes(connects[version])
    const bytes = toBytes(hex)
    for (const chunks of [
      [before, bytes],
      [before, ...oneByOne(bytes)],
    ]) {
      let thrown: unknown
      try {
        decode(chunks, version, 'server', true)
      } catch (error) {
        thrown = error
      }
      expect(thrown).toBeInstanceOf(MqttError)
      expect(`0x${(thrown as MqttError).reasonCode.toString(16)}`).toBe(`0x${reason.toString(16)}`)
    }
  })
})

test('looks at the maximum packet size as soon as the fixed header is there, and allocates nothing for what is announced', () => {
  const decoder = new PacketDecoder({ onPacket: () => {} }, { maximumPacketSize: 1000, receiver: 'client' })
  const announced = toBytes('30 e7 07')
  expect(() => decoder.feed(announced, 0, 3)).toThrow('larger than the 1000 allowed')
  const patient = new PacketDecoder({ onPacket: () => {} }, { maximumPacketSize: 268_435_460, receiver: 'client' })
  const huge = toBytes('30 ff ff ff 7f 00 01')
  patient.feed(huge, 0, huge.length)
  expect(patient.pendingCapacity).toBeLessThanOrEqual(64)
})

test('keeps what comes while it is paused, and goes on where it stopped', () => {
  const heard: number[] = []
  const decoder: PacketDecoder = new PacketDecoder(
    {
      onPacket: packet => {
        heard.push(packet.type)
        decoder.pause()
      },
    },
    { maximumPacketSize: 1000, receiver: 'client' },
  )
  const pings = toBytes('d0 00 d0 00 d0 00 d0')
  decoder.feed(pings, 0, pings.length)
  expect(heard).toHaveLength(1)
  decoder.feed(toBytes('00'), 0, 1)
  for (const count of [2, 3, 4, 4]) {
    decoder.resume()
    expect(heard).toHaveLength(count)
  }
  expect(decoder.pendingBytes).toBe(0)
})
