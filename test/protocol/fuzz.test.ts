import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MqttError } from '../../core/errors.ts'
import { PacketType, type ProtocolVersion } from '../../core/protocol/constants.ts'
import { Decoder } from '../../core/protocol/decoder.ts'
import { encodePacket } from '../../core/protocol/encoder.ts'
import type { InboundPublish } from '../../core/protocol/inbound-publish.ts'
import type { Packet } from '../../core/protocol/packets.ts'
import { aClientPacket, aConnect } from './arbitraries.ts'

const maximumPacketSize = 65_536

interface Outcome {
  packets: string[]
  error: string | undefined
}

/** What a decoder makes of a stream that comes in these pieces, stopped and resumed where `pauses` says so. */
function read(stream: Buffer, cuts: readonly number[], pauses: boolean, asPublish: boolean): Outcome {
  const packets: string[] = []
  const keep = (packet: Packet): void => {
    packets.push(JSON.stringify(packet))
    if (pauses) decoder.pause()
  }
  const sink = asPublish ? { onPacket: keep, onPublish: (publish: InboundPublish) => keep(publish.packet()) } : { onPacket: keep }
  const decoder = new Decoder(sink, { maximumPacketSize, receiver: 'server' })
  let error: string | undefined
  try {
    let from = 0
    for (const cut of [...new Set(cuts)].sort((a, b) => a - b)) {
      const to = Math.min(stream.length, cut)
      if (to <= from) continue
      feed(decoder, stream, from, to)
      from = to
    }
    feed(decoder, stream, from, stream.length)
    for (let before = -1; pauses && packets.length > before; ) {
      before = packets.length
      decoder.resume()
    }
  } catch (thrown) {
    if (!(thrown instanceof MqttError)) throw thrown
    error = `${thrown.reasonCode} ${thrown.message}`
  }
  return { packets, error }
}

function feed(decoder: Decoder, stream: Buffer, from: number, to: number): void {
  // What was lent is overwritten after the call, as in a shared read buffer.
  const lent = Buffer.from(stream.subarray(from, to))
  decoder.feed(lent, 0, lent.length)
  lent.fill(0xee)
  expect(decoder.pendingBytes).toBeLessThanOrEqual(stream.length)
  // It grows with what has come, not with what is announced.
  expect(decoder.pendingCapacity).toBeLessThanOrEqual(Math.max(64, 2 * stream.length))
}

const aVersion = fc.constantFrom<ProtocolVersion>(3, 4, 5)

/** A conversation: CONNECT and what comes after it, on the wire. */
const aStream = aVersion.chain(version =>
  fc
    .tuple(
      aConnect(version),
      fc.array(
        aClientPacket(version).filter(packet => packet.type !== PacketType.Connect),
        { maxLength: 5 },
      ),
    )
    .map(([connect, packets]) => Buffer.concat([connect, ...packets].map(packet => encodePacket(packet, version)))),
)

type Damage = { at: number; kind: 'flip' | 'cut' | 'insert'; byte: number }

const someDamage = fc.array(
  fc.record<Damage>({ at: fc.nat(400), kind: fc.constantFrom('flip', 'cut', 'insert'), byte: fc.integer({ min: 0, max: 255 }) }),
  { minLength: 1, maxLength: 4 },
)

function damaged(stream: Buffer, damages: readonly Damage[]): Buffer {
  const bytes = [...stream]
  for (const { at, kind, byte } of damages) {
    const place = at % Math.max(1, bytes.length)
    if (kind === 'flip') bytes[place] = (bytes[place] ?? 0) ^ (1 << (byte & 7))
    else if (kind === 'cut') bytes.splice(place, 1)
    else bytes.splice(place, 0, byte)
  }
  return Buffer.from(bytes)
}

const someCuts = fc.array(fc.nat(600), { maxLength: 8 })
const small = (stream: Buffer): boolean => stream.length < 2000

describe('whatever the bytes, the decoder throws nothing but protocol errors, and reads the same however they come', () => {
  const agrees = (stream: Buffer, cuts: readonly number[]): void => {
    const whole = read(stream, [], false, true)
    expect(read(stream, cuts, false, true)).toEqual(whole)
    expect(read(stream, cuts, false, false)).toEqual(whole)
    const everyByte = Array.from(stream.keys())
    if (small(stream)) expect(read(stream, everyByte, false, true)).toEqual(whole)
    // A pause may leave a fault unread behind a packet; never another packet, nor another order.
    const paused = read(stream, cuts, true, true)
    expect(paused.packets).toEqual(whole.packets)
  }

  test('random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), someCuts, (bytes, cuts) => agrees(Buffer.from(bytes), cuts)),
      { numRuns: 700 },
    )
  })

  test('random bytes behind a CONNECT', () => {
    const behind = fc.tuple(
      aVersion.chain(version => aConnect(version).map(packet => encodePacket(packet, version))),
      fc.uint8Array({ maxLength: 200 }),
    )
    fc.assert(
      fc.property(behind, someCuts, ([connect, bytes], cuts) => agrees(Buffer.concat([connect, bytes]), cuts)),
      { numRuns: 700 },
    )
  })

  test('good packets', () => {
    fc.assert(
      fc.property(aStream, someCuts, (stream, cuts) => {
        agrees(stream, cuts)
        expect(read(stream, [], false, true).error).toBeUndefined()
      }),
      { numRuns: 300 },
    )
  })

  test('good packets with a few bytes flipped, cut out or put in', () => {
    fc.assert(
      fc.property(aStream, someDamage, someCuts, (stream, damage, cuts) => agrees(damaged(stream, damage), cuts)),
      { numRuns: 700 },
    )
  })
})
