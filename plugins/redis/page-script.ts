/**
 * A part of a session's queue, for its owner. KEYS: its hash, its queue, its identifiers; ARGV: epoch, position, limit. Answers with the
 * entries and, for each, what is known of its packet identifier; with nothing where the epoch is no longer the newest.
 */
export const pageScript = `
if tonumber(redis.call('HGET', KEYS[1], 'e')) ~= tonumber(ARGV[1]) then return false end
local entries = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[2], '+inf', 'LIMIT', 0, ARGV[3])
local states = {}
for from = 1, #entries, 1000 do
  local names = {}
  for n = from, math.min(from + 999, #entries) do names[#names + 1] = 'o' .. string.format('%.0f', (struct.unpack('>d', entries[n]))) end
  for _, state in ipairs(redis.call('HMGET', KEYS[3], unpack(names))) do states[#states + 1] = state or '' end
end
return {entries, states}
`
