/** One element of DER: its tag, its length, its content. */
export function der(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content)
  return Buffer.concat([Buffer.from([tag, ...lengthOf(body.length)]), body])
}

function lengthOf(size: number): number[] {
  if (size < 0x80) return [size]
  if (size < 0x100) return [0x81, size]
  return [0x82, size >>> 8, size & 0xff]
}

export const sequence = (...parts: readonly Uint8Array[]): Buffer => der(0x30, ...parts)
export const set = (...parts: readonly Uint8Array[]): Buffer => der(0x31, ...parts)
export const octets = (bytes: Uint8Array): Buffer => der(0x04, bytes)
export const boolean = (value: boolean): Buffer => der(0x01, Buffer.from([value ? 0xff : 0]))
export const text = (value: string): Buffer => der(0x0c, Buffer.from(value, 'utf8'))
/** `[n]` around something, as EXPLICIT tags and constructed choices have it. */
export const tagged = (number: number, ...parts: readonly Uint8Array[]): Buffer => der(0xa0 | number, ...parts)
/** `[n]` in place of the tag of plain bytes. */
export const plainTagged = (number: number, bytes: Uint8Array): Buffer => der(0x80 | number, bytes)

/** A number that is not negative, from its bytes. */
export function integer(bytes: Uint8Array): Buffer {
  let start = 0
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1
  const digits = bytes.subarray(start)
  return der(0x02, (digits[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), digits]) : digits)
}

/** Bits of which the last `unused` do not count. */
export const bits = (bytes: Uint8Array, unused = 0): Buffer => der(0x03, Buffer.from([unused]), bytes)

/** An object identifier from its dotted form. */
export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const bytes: number[] = []
  for (const arc of [first * 40 + second, ...rest]) {
    const digits = [arc & 0x7f]
    for (let high = Math.floor(arc / 128); high > 0; high = Math.floor(high / 128)) digits.unshift((high & 0x7f) | 0x80)
    bytes.push(...digits)
  }
  return der(0x06, Buffer.from(bytes))
}

/** A point in time, to the second: two-digit years until 2049, as RFC 5280 wants it. */
export function time(ms: number): Buffer {
  const stamp = new Date(ms).toISOString().replaceAll(/[-:T]|\.\d+/g, '')
  return Number(stamp.slice(0, 4)) < 2050 ? der(0x17, Buffer.from(stamp.slice(2))) : der(0x18, Buffer.from(stamp))
}

/** The content of the element that begins at `at`, and where the next one begins. */
export function readDer(bytes: Buffer, at = 0): { readonly tag: number; readonly content: Buffer; readonly end: number } {
  const tag = bytes.readUInt8(at)
  let size = bytes.readUInt8(at + 1)
  let start = at + 2
  if (size >= 0x80) {
    const digits = size & 0x7f
    size = bytes.readUIntBE(start, digits)
    start += digits
  }
  return { tag, content: bytes.subarray(start, start + size), end: start + size }
}
