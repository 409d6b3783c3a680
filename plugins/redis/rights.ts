import { OperatorError } from '../../core/errors.ts'
import { createClient, type Options } from './client-options.ts'
import type { Keys } from './keys.ts'

// What the scripts call, each with as many arguments as it takes, on a key that holds a text: most answer WRONGTYPE and change nothing.
const inScripts: readonly (readonly string[])[] = [
  ['HSET', 'KEY', 'f', 'v'],
  ['HGET', 'KEY', 'f'],
  ['HMGET', 'KEY', 'f'],
  ['HGETALL', 'KEY'],
  ['HDEL', 'KEY', 'f'],
  ['HEXISTS', 'KEY', 'f'],
  ['HLEN', 'KEY'],
  ['HKEYS', 'KEY'],
  ['HINCRBY', 'KEY', 'f', '1'],
  ['ZADD', 'KEY', '1', 'm'],
  ['ZREM', 'KEY', 'm'],
  ['ZSCORE', 'KEY', 'm'],
  ['ZRANGEBYSCORE', 'KEY', '1', '2'],
  ['XADD', 'KEY', '*', 'f', 'v'],
  ['XLEN', 'KEY'],
  ['SADD', 'KEY', 'm'],
  ['SREM', 'KEY', 'm'],
  ['SET', 'KEY', 'probe'],
  ['EXISTS', 'KEY'],
  ['PTTL', 'KEY'],
  ['PERSIST', 'KEY'],
  ['PEXPIRE', 'KEY', '60000'],
  ['RENAME', 'KEY', 'KEY'],
  ['TIME'],
  ['DEL', 'KEY'],
]

// What the clients ask by themselves.
const outside: readonly (readonly string[])[] = [
  ['PING'],
  ['SET', 'KEY', 'probe', 'PX', '60000'],
  ['GET', 'KEY'],
  ['EXISTS', 'KEY'],
  ['HGET', 'KEY', 'f'],
  ['HGETALL', 'KEY'],
  ['HMGET', 'KEY', 'f'],
  ['HKEYS', 'KEY'],
  ['HLEN', 'KEY'],
  ['HSCAN', 'KEY', '0'],
  ['SMEMBERS', 'KEY'],
  ['SMISMEMBER', 'KEY', 'm'],
  ['SSCAN', 'KEY', '0'],
  ['ZRANGEBYSCORE', 'KEY', '1', '2'],
  ['SCAN', '0', 'MATCH', 'KEY', 'COUNT', '1'],
]
const ofNodes: readonly (readonly string[])[] = [
  ['XREAD', 'COUNT', '1', 'STREAMS', 'KEY', '0-0'],
  ['XINFO', 'STREAM', 'KEY'],
  ['XTRIM', 'KEY', 'MINID', '0-1'],
  ['PUBLISH', 'CHANNEL', 'probe'],
]

/** The commands that the broker's user needs the right to, in small letters; docs/redis-keys.md has them. */
export const neededCommands: readonly string[] = [
  ...new Set([...inScripts, ...outside, ...ofNodes, ['EVAL'], ['EVALSHA'], ['SUBSCRIBE']].map(([name]) => name!.toLowerCase())),
].sort()

// Answers with the names of the commands that the user may not run: a script runs with its user's rights.
const script = `
local missing = {}
for _, line in ipairs(cjson.decode(ARGV[1])) do
  local parts = {}
  for n, part in ipairs(line) do parts[n] = part == 'KEY' and KEYS[1] or part == 'CHANNEL' and ARGV[2] or part end
  local reply = redis.pcall(unpack(parts))
  if type(reply) == 'table' and reply.err and (string.find(reply.err, 'NOPERM', 1, true) or string.find(reply.err, 'user executing the script', 1, true)) then missing[#missing + 1] = line[1] end
end
return missing
`

/** Sends one command; rejects where Redis refuses it, or gives no answer in time. */
type Call = (name: string, ...parts: (string | number)[]) => Promise<unknown>

/** What the user of Redis may not do and the broker needs: commands, keys, and channels where `isNode`. Empty: nothing is missing. */
export async function missingRights(call: Call, options: Options, keys: Keys, isNode: boolean): Promise<string[]> {
  const key = keys.mark('rights')
  const channel = `${keys.channelPrefix(false)}rights`
  const missing = new Set<string>()
  const ask = async (name: string, ...parts: (string | number)[]): Promise<unknown> => {
    try {
      return await call(name, ...parts)
    } catch (error) {
      return error
    }
  }
  const isMissing = (reply: unknown): boolean => reply instanceof Error && reply.message.startsWith('NOPERM')
  for (const [name, ...parts] of [...outside, ...(options.waitReplicas > 0 ? [['WAIT', '0', '0']] : []), ...(isNode ? ofNodes : [])]) {
    const reply = await ask(name!, ...parts.map(part => (part === 'KEY' ? key : part === 'CHANNEL' ? channel : part)))
    if (!isMissing(reply)) continue
    const { message } = reply as Error
    missing.add(
      /channel/.test(message) ? `&${channel.slice(0, -6)}*` : /key/.test(message) ? `~${key.slice(0, -13)}*` : `+${name!.toLowerCase()}`,
    )
  }
  const lines = isNode ? [...inScripts, ['PUBLISH', 'CHANNEL', 'probe']] : inScripts
  const found = await ask('EVAL', script, 1, key, JSON.stringify(lines), channel)
  if (isMissing(found)) missing.add(/key/.test((found as Error).message) ? `~${key.slice(0, -13)}*` : '+eval')
  else if (Array.isArray(found))
    for (const name of found)
      if (String(name) !== 'PUBLISH' || !missing.has(`&${channel.slice(0, -6)}*`)) missing.add(`+${String(name).toLowerCase()}`)
  if (isMissing(await ask('EVALSHA', '0'.repeat(40), 1, key))) missing.add('+evalsha')
  for (const sample of [
    keys.session('rights'),
    keys.queue('rights'),
    keys.identifiers('rights'),
    keys.retained('rights'),
    keys.subscribers('rights'),
    keys.filters('rights'),
    keys.body('rights'),
  ]) {
    if (isMissing(await ask('EXISTS', sample)) && !missing.has('+exists')) missing.add(`~${sample.replace(/[:{]*rights.*$|:\d+$/, '')}*`)
  }
  if (isNode) {
    const right = await subscribeRight(options, channel)
    if (right !== null) missing.add(right)
  }
  return [...missing]
}

// A connection that listens does nothing else, so it is one of its own.
async function subscribeRight(options: Options, channel: string): Promise<string | null> {
  const client = createClient(options)
  client.on('error', () => {})
  try {
    await client.connect()
    await client.subscribe(channel)
    return null
  } catch (error) {
    const { message } = error as Error
    return !message.startsWith('NOPERM') ? null : /channel/.test(message) ? `&${channel.slice(0, -6)}*` : '+subscribe'
  } finally {
    client.disconnect()
  }
}

/** The error that ends a start, with the rights as `ACL SETUSER` takes them. */
export function rightsError(options: Options, missing: readonly string[]): OperatorError {
  const user = options.username ?? 'default'
  return new OperatorError(
    'ERR_REDIS_RIGHTS',
    `redis.username: user ${user} of Redis lacks rights that the broker needs: ${missing.join(' ')}; ACL SETUSER ${user} ${missing.join(' ')}`,
  )
}
