import { argumentsPerCall, entryFlag, entryHead, entryReference, identifierField, keyAt, releasedMark } from './layout.ts'

const referenceAt = entryHead.bytes + 1
const isInline = (flags: string): string => `${flags} % ${2 * entryFlag.inline} >= ${entryFlag.inline}`
const qosOf = (flags: string): string => `${flags} % ${entryFlag.qos + 1}`
const outbound = `'${identifierField.outbound}' .. text(position)`

/** Lua: queues and their entries. A member is an entry as it lies in the sorted set. */
export const queueFunctions = `
-- What goes into one queue in one batch, but for the first of it, is added by one call, before anything else looks at that queue: a fifth less work for
-- Redis where messages go to few queues, none more where each goes to another.
local additions = {}
local function addAll(session, list)
  for from = 1, #list, ${argumentsPerCall} do call('ZADD', KEYS[session + ${keyAt.queue}], _G.unpack(list, from, math.min(from + ${argumentsPerCall - 1}, #list))) end
end
local function flush(session)
  local added = additions[session]
  if not added then return end
  additions[session] = nil
  local ok, failure = pcall(addAll, session, added.list)
  if ok then return end
  local record = records[session]
  for n, own in ipairs(added.operations) do
    local _, size = unpack('>${entryHead.format}', added.list[2 * n])
    record.bytes, record.count = record.bytes - size, record.count - 1
    out[#out + 1] = {own, 'error', reason(failure), KEYS[session + ${keyAt.queue}]}
  end
end
local function add(session, position, member)
  local added = additions[session]
  if not added then
    added = { list = {}, operations = {} }
    additions[session] = added
  end
  added.list[#added.list + 1] = text(position)
  added.list[#added.list + 1] = member
  added.operations[#added.operations + 1] = number
end

local function unrefer(key, ordinal)
  call('HDEL', key, ordinal)
  if call('HLEN', key) <= 1 then call('DEL', key) end
end
-- An entry has left its queue: its bytes, its identifier and, where it can be reached from here, its hold on a body go too.
local function left(session, record, member, keepBody)
  local position, size, id, flags = unpack('>${entryHead.format}', member)
  record.bytes, record.count, record.dirty = record.bytes - size, record.count - 1, true
  if id == 0 or ${qosOf('flags')} == 2 then call('HDEL', KEYS[session + ${keyAt.identifiers}], ${outbound}) end
  if not (${isInline('flags')}) and not keepBody then
    local reference, ordinal = unpack('>${entryReference.format}', member, ${referenceAt})
    if bodyPrefix == '' then tell('unrefer', reference, ordinal) else unrefer(bodyPrefix .. reference, ordinal) end
  end
end
local function removeMember(session, record, member)
  call('ZREM', KEYS[session + ${keyAt.queue}], member)
  left(session, record, member)
end
local function entryAt(session, position)
  local score = text(position)
  return call('ZRANGEBYSCORE', KEYS[session + ${keyAt.queue}], score, score)[1]
end
local function identifierOf(session, member)
  local position, _, given = unpack('>${entryHead.format}', member)
  if given ~= 0 then return given, position end
  local state = call('HGET', KEYS[session + ${keyAt.identifiers}], ${outbound})
  return state and tonumber((string.gsub(state, '${releasedMark}', ''))) or 0, position
end
-- By position, or where the owner does not know that, or no longer rightly: by packet identifier.
local function find(session, position, id)
  if position > 0 then
    local member = entryAt(session, position)
    if member and identifierOf(session, member) == id then return member, position end
  end
  local from = '-inf'
  while true do
    local page = call('ZRANGEBYSCORE', KEYS[session + ${keyAt.queue}], from, '+inf', 'LIMIT', 0, 100)
    if #page == 0 then return nil end
    for _, member in ipairs(page) do
      local given, found = identifierOf(session, member)
      if given == id then return member, found end
      from = '(' .. text(found)
    end
  end
end
local function firstUnsent(session, record)
  local from = record.unsentFrom or '-inf'
  while true do
    local page = call('ZRANGEBYSCORE', KEYS[session + ${keyAt.queue}], from, '+inf', 'LIMIT', 0, 100)
    if #page == 0 then return nil end
    for _, member in ipairs(page) do
      local position, _, id = unpack('>${entryHead.format}', member)
      from = '(' .. text(position)
      if id == 0 and call('HEXISTS', KEYS[session + ${keyAt.identifiers}], ${outbound}) == 0 then
        record.unsentFrom = from
        return member
      end
    end
  end
end
local function makeRoom(session, record, size, n)
  -- The rule is roomFor of core/sessions/queue-policy.ts.
  if size > bytesMax or messagesMax == 0 then return false end
  while record.count >= messagesMax or record.bytes + size > bytesMax do
    flush(session)
    local member = dropOldest and firstUnsent(session, record)
    if not member then return false end
    call('ZREM', KEYS[session + ${keyAt.queue}], member)
    left(session, record, member, true)
    tell('dropped', n, member)
  end
  return true
end
`
