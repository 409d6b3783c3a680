import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MqttError } from '../../core/errors.ts'
import { PacketType, type ProtocolVersion } from '../../core/protocol/constants.ts'
import { writeVariable } from '../../core/protocol/writer.ts'
import { encodePacket, PacketDecoder } from '../../presets/testing/packet-codec.ts'
import { aClientPacket, aConnect, aServerPacket } from './arbitraries.ts'
import { type Connection, type Feeding, read, whole } from './feeding.ts'

const versions = [3, 4, 5] as const

/** Bytes to one end of a connection. */
interface Stream extends Connection {
  readonly bytes: Buffer
}

const aLimit = fc.constantFrom(64, 400, 268_435_460)
const aByte = fc.integer({ min: 0, max: 255 })

/** What comes to a server, with CONNECT in front, and what comes to a client. */
function streams(some: (version: ProtocolVersion, receiver: Connection['receiver']) => fc.Arbitrary<Buffer>): fc.Arbitrary<Stream> {
  return fc.oneof(
    ...versions.flatMap(version => [
      fc.record({
        receiver: fc.constant('server' as const),
        version: fc.constant(version),
        maximumPacketSize: aLimit,
        bytes: fc
          .tuple(aConnect(version), some(version, 'server'))
          .map(([connect, rest]) => Buffer.concat([encodePacket(connect, version), rest])),
      }),
      fc.record({
        receiver: fc.constant('client' as const),
        version: fc.constant(version),
        maximumPacketSize: aLimit,
        bytes: some(version, 'client'),
      }),
    ]),
  )
}

const goodStreams = streams((version, receiver) => {
  const one = receiver === 'client' ? aServerPacket(version) : aClientPacket(version).filter(({ type }) => type !== PacketType.Connect)
  return fc.array(one, { maxLength: 4 }).map(packets => Buffer.concat(packets.map(packet => encodePacket(packet, version))))
})

const randomBytes = fc.uint8Array({ maxLength: 200 }).map(bytes => Buffer.from(bytes))

/** First bytes that are legal, lengths that are mostly right, and bodies of small numbers, as fields and lengths of fields are. */
const plausibleBytes = fc
  .array(
    fc.tuple(
      fc.constantFrom(0x20, 0x30, 0x32, 0x3d, 0x40, 0x50, 0x62, 0x70, 0x82, 0x90, 0xa2, 0xb0, 0xc0, 0xd0, 0xe0, 0xf0),
      fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: aByte }),
      fc.array(fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 0x2b }), aByte), { maxLength: 16 }),
    ),
    { maxLength: 4 },
  )
  .map(packets => Buffer.concat(packets.map(([header, more, body]) => Buffer.from([header, body.length + more, ...body]))))

interface Damage {
  readonly at: number
  readonly kind: 'flip' | 'cut' | 'insert'
  readonly byte: number
}

const someDamage = fc.array(fc.record<Damage>({ at: fc.nat(200), kind: fc.constantFrom('flip', 'cut', 'insert'), byte: aByte }), {
  minLength: 1,
  maxLength: 4,
})

function damaged(stream: Stream, damages: readonly Damage[]): Stream {
  const bytes = [...stream.bytes]
  for (const { at, kind, byte } of damages) {
    const place = at % Math.max(1, bytes.length)
    if (kind === 'flip') bytes[place] = (bytes[place] ?? 0) ^ (1 << (byte & 7))
    else if (kind === 'cut') bytes.splice(place, 1)
    else bytes.splice(place, 0, byte)
  }
  return { ...stream, bytes: Buffer.from(bytes) }
}

const aFeeding: fc.Arbitrary<Feeding> = fc.record({
  cuts: fc.array(fc.nat(400), { maxLength: 8 }).map(cuts => cuts.sort((a, b) => a - b)),
  inPacket: fc.array(fc.constantFrom('nothing', 'pause', 'pause and resume'), { maxLength: 4 }),
  betweenChunks: fc.array(fc.constantFrom('nothing', 'pause', 'resume'), { maxLength: 4 }),
  asPublish: fc.boolean(),
  cached: fc.boolean(),
})

/** In these pieces, and a byte at a time, it is the same stream. */
function agree(stream: Stream, feeding: Feeding): void {
  const { bytes } = stream
  const outcome = read(bytes, stream, whole)
  expect(read(bytes, stream, feeding)).toEqual(outcome)
  if (bytes.length > 1000) return
  const everyByte = Array.from(bytes.keys())
  expect(read(bytes, stream, { ...whole, cuts: everyByte, asPublish: false })).toEqual(outcome)
  expect(read(bytes, stream, { ...feeding, cuts: everyByte })).toEqual(outcome)
}

test('what a length field announces is neither allocated nor waited for beyond the limit', () => {
  const announced = fc.integer({ min: 1, max: 268_435_455 })
  fc.assert(
    fc.property(announced, aLimit, fc.array(fc.integer({ min: 1, max: 500 }), { maxLength: 6 }), (length, maximumPacketSize, pieces) => {
      const decoder = new PacketDecoder({ onPacket: () => {} }, { maximumPacketSize, receiver: 'client' })
      const header = Buffer.alloc(5)
      header[0] = 0x30
      const headerLength = writeVariable(header, 1, length)
      const feed = (bytes: Buffer): void => decoder.feed(bytes, 0, bytes.length)
      if (headerLength + length > maximumPacketSize) {
        expect(() => feed(header.subarray(0, headerLength))).toThrow(MqttError)
        expect(decoder.pendingCapacity).toBe(0)
        return
      }
      feed(header.subarray(0, headerLength))
      for (let left = length - 1; pieces.length > 0 && left > 0; ) {
        const piece = Math.min(left, pieces.pop()!)
        feed(Buffer.alloc(piece))
        left -= piece
        expect(decoder.pendingBytes).toBe(headerLength + length - 1 - left)
        expect(decoder.pendingCapacity).toBeLessThanOrEqual(Math.max(64, 4 * decoder.pendingBytes))
      }
    }),
    { numRuns: 300 },
  )
})

// What holds at every step is in `feeding.ts`: nothing but MqttError is thrown, each byte is consumed or kept, and what is kept
// and what is allocated for it is bounded.
describe('in whatever pieces and with whatever pauses they come', () => {
  test('good packets are read the same', () => {
    fc.assert(
      fc.property(goodStreams, aFeeding, (stream, feeding) => {
        const unlimited = { ...stream, maximumPacketSize: 268_435_460 }
        expect(read(stream.bytes, unlimited, whole).error).toBeUndefined()
        agree(stream, feeding)
      }),
      { numRuns: 250 },
    )
  })

  test('packets with bits flipped, bytes cut out or put in give the same packets and the same fault', () => {
    fc.assert(
      fc.property(goodStreams, someDamage, aFeeding, (stream, damage, feeding) => agree(damaged(stream, damage), feeding)),
      { numRuns: 500 },
    )
  })

  test('packets of random fields give the same packets and the same fault', () => {
    fc.assert(
      fc.property(
        streams(() => plausibleBytes),
        aFeeding,
        agree,
      ),
      { numRuns: 500 },
    )
  })

  test('random bytes give the same fault', () => {
    fc.assert(
      fc.property(
        streams(() => randomBytes),
        aFeeding,
        agree,
      ),
      { numRuns: 200 },
    )
  })

  test('random bytes instead of CONNECT give the same fault', () => {
    const aStart = fc.record({
      receiver: fc.constant('server' as const),
      version: fc.constant(4 as const),
      maximumPacketSize: aLimit,
      bytes: fc.tuple(fc.constantFrom('', '10', '100c', '100d00044d51545405', '100e00064d514973647003'), randomBytes).map(([hex, rest]) => {
        return Buffer.concat([Buffer.from(hex, 'hex'), rest])
      }),
    })
    fc.assert(fc.property(aStart, aFeeding, agree), { numRuns: 300 })
  })
})
