import { argumentsPerCall, identifierField, positionFormat, sessionField } from './layout.ts'
import { LuaScript } from './lua-script.ts'

/**
 * A part of a session's queue: at most `limit` entries from behind `position`. Answers with the entries and, for each, what is known of its packet
 * identifier; with nothing where there is no such session, or its newest epoch is not `epoch` ('' for any).
 */
export const pageScript = new LuaScript(
  ['session', 'queue', 'identifiers'],
  ['epoch', 'position', 'limit'],
  `
local newest = redis.call('HGET', session, '${sessionField.epoch}')
if not newest or (epoch ~= '' and tonumber(newest) ~= tonumber(epoch)) then return false end
local entries = redis.call('ZRANGEBYSCORE', queue, '(' .. position, '+inf', 'LIMIT', 0, limit)
local states = {}
for from = 1, #entries, ${argumentsPerCall} do
  local names = {}
  for n = from, math.min(from + ${argumentsPerCall - 1}, #entries) do
    names[#names + 1] = '${identifierField.outbound}' .. string.format('%.0f', (struct.unpack('${positionFormat}', entries[n])))
  end
  for _, state in ipairs(redis.call('HMGET', identifiers, unpack(names))) do states[#states + 1] = state or '' end
end
return {entries, states}
`,
)
