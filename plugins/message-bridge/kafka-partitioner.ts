import type { ICustomPartitioner } from 'kafkajs'

const rememberedMax = 10_000

/**
 * By the key's murmur2, as Kafka's Java client does it and kafkajs too. kafkajs's own counts in 64-bit numbers of its own making, for each message anew:
 * 2 to 3 µs of the 40 that a message costs.
 */
export const createKeyPartitioner: ICustomPartitioner = () => {
  const known = new Map<string, number>()
  return ({ partitionMetadata, message: { key, partition } }) => {
    if (partition !== undefined) return partition
    const text = String(key)
    let hash = known.get(text)
    if (hash === undefined) {
      hash = murmur2(Buffer.from(text)) & 0x7fffffff
      if (known.size >= rememberedMax) known.clear()
      known.set(text, hash)
    }
    return hash % partitionMetadata.length
  }
}

/** The 32-bit hash of Kafka's partitions. */
export function murmur2(bytes: Buffer): number {
  const m = 0x5bd1e995
  const { length } = bytes
  const whole = length & ~3
  let hash = 0x9747b28c ^ length
  for (let at = 0; at < whole; at += 4) {
    let word = Math.imul(bytes.readInt32LE(at), m)
    word ^= word >>> 24
    hash = Math.imul(hash, m) ^ Math.imul(word, m)
  }
  const left = length - whole
  if (left > 0) {
    for (let i = left - 1; i >= 0; i--) hash ^= bytes[whole + i]! << (8 * i)
    hash = Math.imul(hash, m)
  }
  hash = Math.imul(hash ^ (hash >>> 13), m)
  return hash ^ (hash >>> 15)
}
