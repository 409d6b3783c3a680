// A Sparkplug payload is a protobuf message, and its first field is the time: `optional uint64 timestamp = 1`, milliseconds since the Unix epoch. All other fields are
// passed over by what the wire format says of their length, whatever they mean, so that payloads of later versions and of extensions stay as they are.

const timestampTag = 0x08 // field 1, a varint
// An NDEATH carries one metric. A payload that is longer would be work without a bound.
const payloadMax = 64 * 1024

/** The payload with another timestamp; null: it is no protobuf message, or too long for an NDEATH. Groups, which Sparkplug does not use, count as none. */
export function withTimestamp(payload: Buffer, ms: number): Buffer | null {
  if (payload.length > payloadMax) return null
  const pieces = [timestampField(ms)]
  let keptFrom = 0
  let at = 0
  while (at < payload.length) {
    const fieldAt = at
    const tag = readVarint(payload, at)
    if (tag === null || tag.value > 0xffff_ffff || tag.value < 8) return null
    at = endOfValue(payload, tag.end, tag.value % 8)
    if (at === -1) return null
    // Of a field that stands there more than once the last one counts, so all of them go.
    if (tag.value !== timestampTag) continue
    pieces.push(payload.subarray(keptFrom, fieldAt))
    keptFrom = at
  }
  pieces.push(payload.subarray(keptFrom))
  return Buffer.concat(pieces)
}

/** Where the value of a field ends; -1: behind the payload's end, or the wire type is none. */
function endOfValue(payload: Buffer, start: number, wireType: number): number {
  let end = -1
  if (wireType === 0) end = readVarint(payload, start)?.end ?? -1
  else if (wireType === 1) end = start + 8
  else if (wireType === 5) end = start + 4
  else if (wireType === 2) {
    const length = readVarint(payload, start)
    if (length !== null) end = length.end + length.value
  }
  return end <= payload.length ? end : -1
}

/** A varint of at most ten bytes, as a number that is exact up to 2^53; null: it does not end. */
function readVarint(payload: Buffer, start: number): { value: number; end: number } | null {
  let value = 0
  let factor = 1
  for (let at = start; at < payload.length && at < start + 10; at++) {
    const byte = payload[at]!
    value += (byte & 0x7f) * factor
    if (byte < 0x80) return { value, end: at + 1 }
    factor *= 0x80
  }
  return null
}

function timestampField(ms: number): Buffer {
  const bytes = [timestampTag]
  for (let left = Math.max(0, Math.floor(ms)); ; left = Math.floor(left / 0x80)) {
    if (left < 0x80) return Buffer.from([...bytes, left])
    bytes.push((left % 0x80) | 0x80)
  }
}
