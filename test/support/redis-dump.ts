import type { Redis } from 'ioredis'

/** One key as plain commands can make it again, whatever the version of Redis. Values are Base64. */
interface DumpedKey {
  readonly key: string
  readonly type: 'string' | 'hash' | 'set' | 'zset'
  /** A string's one value, a set's members, a hash's fields and values in turn, a sorted set's members and scores in turn. */
  readonly values: readonly string[]
  /** Milliseconds left when it was dumped; -1: it does not expire. */
  readonly ttl: number
}

const reading = {
  string: ['GET'],
  hash: ['HGETALL'],
  set: ['SMEMBERS'],
  zset: ['ZRANGE', 0, -1, 'WITHSCORES'],
} as const

/** All that a Redis holds, but for streams: what lies in those is of living nodes only. */
export async function dumpRedis(from: Redis): Promise<DumpedKey[]> {
  // With flat lists for hashes and sorted sets.
  const client = from.duplicate({ protocol: 2 })
  const dumped: DumpedKey[] = []
  for (const key of (await client.keys('*')).sort()) {
    const type = (await client.type(key)) as DumpedKey['type'] | 'stream'
    if (type === 'stream') continue
    const [name, ...parts] = reading[type]
    const reply = (await client.callBuffer(name, key, ...parts)) as Buffer | Buffer[]
    dumped.push({ key, type, values: [reply].flat().map(value => value.toString('base64')), ttl: await client.pttl(key) })
  }
  client.disconnect()
  return dumped
}

/** Makes the keys again, with as much time left as they had. */
export async function loadRedis(client: Redis, dumped: readonly DumpedKey[]): Promise<void> {
  for (const { key, type, values, ttl } of dumped) {
    const parts = values.map(value => Buffer.from(value, 'base64'))
    if (type === 'string') await client.callBuffer('SET', key, parts[0]!)
    if (type === 'hash') await client.callBuffer('HSET', key, ...parts)
    if (type === 'set') await client.callBuffer('SADD', key, ...parts)
    if (type === 'zset') await client.callBuffer('ZADD', key, ...parts.map((_, i) => parts[i ^ 1]!))
    if (ttl >= 0) await client.pexpire(key, ttl)
  }
}
