import fc from 'fast-check'
import { expect, test } from 'vitest'
import { withTimestamp } from '../../plugins/sparkplug/payload-timestamp.ts'
import { bdSeq, decodePayload, encodePayload } from '../support/sparkplug.ts'

const now = 1_790_000_000_123

const bytes = (hex: string) => Buffer.from(hex.replaceAll(' ', ''), 'hex')

test('a timestamp takes the place of the one that is there, in as many bytes as it needs', () => {
  expect(withTimestamp(bytes('08 01  18 05'), 300)).toEqual(bytes('08 ac 02  18 05'))
  expect(withTimestamp(bytes('18 05'), 300)).toEqual(bytes('08 ac 02  18 05'))
  expect(withTimestamp(bytes('18 05  08 01'), 300)).toEqual(bytes('08 ac 02  18 05'))
  expect(withTimestamp(bytes('08 01  18 05  08 02'), 0)).toEqual(bytes('08 00  18 05'))
})

test.each([
  ['nothing', ''],
  ['a field that no Sparkplug payload has, of each wire type', 'c8 01 05  c9 01 0102030405060708  ca 01 02 ffff  cd 01 01020304'],
  ['a timestamp in ten bytes', '08 ff ff ff ff ff ff ff ff ff 01  18 01'],
  ['a field of number 1 that is no varint, and so no timestamp', '0a 01 41'],
  ['a timestamp in a metric', '12 02 18 07'],
])('what is valid stays as it is but for the time: %s', (_what, hex) => {
  const stamped = withTimestamp(bytes(hex), now)!
  const without = bytes(hex.startsWith('08') ? '18 01' : hex)
  expect(stamped.subarray(stamped.length - without.length)).toEqual(without)
  expect(decodePayload(stamped).timestamp).toBe(now)
})

test.each([
  ['text', Buffer.from('offline')],
  ['JSON', Buffer.from('{"timestamp":1}')],
  ['field number 0', bytes('00 01')],
  ['a tag that does not end', bytes('18 05 88')],
  ['a tag of six bytes', bytes('88 80 80 80 80 01 01')],
  ['a varint that does not end', bytes('08 ff')],
  ['a varint of eleven bytes', bytes('08 ff ff ff ff ff ff ff ff ff ff 01')],
  ['eight bytes that are seven', bytes('09 01020304050607')],
  ['four bytes that are three', bytes('0d 010203')],
  ['a length beyond the end', bytes('12 05 01')],
  ['a length of 2^63', bytes('12 ff ff ff ff ff ff ff ff 7f 01')],
  ['no length', bytes('12')],
  ['a group', bytes('1b 1c')],
  ['a wire type that there is not', bytes('0f 01')],
  ['more than an NDEATH has to say', Buffer.concat([bytes('2a 80 80 04'), Buffer.alloc(65_536)])],
])('what is no payload of an NDEATH is left alone: %s', (_what, payload) => {
  expect(withTimestamp(payload, now)).toBeNull()
})

const aPayload = fc.record(
  {
    timestamp: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
    seq: fc.nat({ max: 255 }),
    uuid: fc.string(),
    metrics: fc.array(fc.nat({ max: 255 }).map(bdSeq), { maxLength: 5 }),
  },
  { requiredKeys: [] },
)

test('protobuf reads the new time, and all else as it was', () => {
  fc.assert(
    fc.property(aPayload, fc.nat({ max: Number.MAX_SAFE_INTEGER }), (payload, ms) => {
      const stamped = withTimestamp(encodePayload(payload), ms)!
      expect(decodePayload(stamped)).toEqual({ ...decodePayload(encodePayload(payload)), timestamp: ms })
      expect(withTimestamp(stamped, ms)).toEqual(stamped)
    }),
    { numRuns: 300 },
  )
})

test('whatever the bytes are, they are stamped so that protobuf can read the time, or left alone', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), given => {
      const payload = Buffer.from(given)
      const before = Buffer.from(payload)
      const stamped = withTimestamp(payload, now)
      expect(payload).toEqual(before)
      if (stamped === null) return
      const read = readable(stamped)
      // Text that is no UTF-8 and the like: protobuf may refuse what lies in a field, which nobody looked at here.
      if (read !== null) expect(read.timestamp).toBe(now)
    }),
    { numRuns: 2000 },
  )
})

function readable(payload: Buffer) {
  try {
    return decodePayload(payload)
  } catch {
    return null
  }
}
