/** Redis Cluster's key slots: which of 16,384 parts of the keyspace a key lies in. */
export const slotCount = 16_384

const crcTable = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1
  return crc
})

function crc16(bytes: Buffer): number {
  let crc = 0
  for (const byte of bytes) crc = ((crc << 8) & 0xffff) ^ crcTable[(crc >>> 8) ^ byte]!
  return crc
}

/** The slot of a key, as Redis reckons it: that of what stands between its first `{` and the first `}` behind that, where there is something between them; else that of the whole key. */
export function slotOf(key: string): number {
  const open = key.indexOf('{')
  if (open !== -1) {
    const close = key.indexOf('}', open + 1)
    if (close > open + 1) key = key.slice(open + 1, close)
  }
  return crc16(Buffer.from(key)) % slotCount
}

let tags: string[] | null = null

/** A short hash tag for each slot, so that a key can be put into a slot on purpose. */
export function tagOf(slot: number): string {
  if (tags === null) {
    tags = new Array<string>(slotCount)
    for (let left = slotCount, i = 0; left > 0; i++) {
      const tag = i.toString(36)
      const at = slotOf(tag)
      if (tags[at] !== undefined) continue
      tags[at] = tag
      left -= 1
    }
  }
  return tags[slot]!
}
