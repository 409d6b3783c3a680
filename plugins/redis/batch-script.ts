/** The operations that the batch script knows; the first byte of each. */
export const Code = {
  Append: 1,
  Claim: 2,
  Ack: 3,
  Send: 4,
  Remove: 5,
  Release: 6,
  Forget: 7,
  Subscribe: 8,
  Unsubscribe: 9,
  Close: 10,
  End: 11,
  Due: 12,
  Settle: 13,
  Park: 14,
  Unrefer: 15,
  Command: 16,
  Intend: 17,
  Post: 18,
} as const
/** Entries that the cluster's log holds, about: a node that lags further behind reads everything anew. */
export const logEntries = 50_000

export type Code = (typeof Code)[keyof typeof Code]

/**
 * One batch of writes to one slot, all or nothing. It may be sent again when its answer was lost: the lane's key remembers the
 * last batch and its answer. KEYS[1] is the lane's key, the others are named by number; a session's three follow one another
 * (hash, queue, identifiers). ARGV: sequence, now, queue limits (messages, bytes, 1 for dropOldest), body prefix ('' where bodies
 * lie in other slots), packed operations, 1 where Redis is full and the batch is one that makes room; then for a cluster: 'here' where the log and the channels
 * can be reached from here, 'rows' where what is to be said there is part of the answer, this node's name, the log's key, the channels' prefix. Answers with rows {operation, kind, …} of those that have something to say.
 *
 * The first write touches nothing but the lane's key, so what Redis says against writing at all (READONLY, OOM, MISCONF…)
 * comes before anything has changed. A batch that makes room begins with a write that needs none instead: Redis asks for
 * room at a script's first write only. What goes wrong later goes wrong within one operation, and is that operation's answer.
 */
export const batchScript = `
local call, unpack = redis.call, struct.unpack
local before = call('HMGET', KEYS[1], 's', 'r')
local sequence, last = tonumber(ARGV[1]), tonumber(before[1])
if last == sequence then return cmsgpack.unpack(before[2]) end
if last and last > sequence then return redis.error_reply('STALE a later batch has been done') end
if ARGV[8] ~= '1' then call('HSET', KEYS[1], 'a', ARGV[1]) end
call('PEXPIRE', KEYS[1], 86400000)
local now, messagesMax, bytesMax, dropOldest = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] == '1'
local bodyPrefix, ops = ARGV[6], ARGV[7]
local at, op, out, sessions = 1, 0, {}, {}
local noting, node, notes, wakes = ARGV[9], ARGV[10], {}, {}

local function tell(kind, ...) out[#out + 1] = {op, kind, ...} end
local function text(number) return string.format('%.0f', number) end
-- What the other nodes have to know of a session.
local function note(kind, s, epoch, more)
  if noting ~= '' then notes[#notes + 1] = {kind, KEYS[s], text(epoch), more} end
end

-- What is known of a session is read once in a batch and written once.
local function load(s)
  local m = sessions[s]
  if m == nil then
    local f = call('HMGET', KEYS[s], 'e', 'p', 'b', 'c', 'x', 'u', 'n')
    m = f[1] and { e = tonumber(f[1]), p = tonumber(f[2]), b = tonumber(f[3]), c = tonumber(f[4]), x = tonumber(f[5]), u = f[6], n = f[7] } or false
    sessions[s] = m
  end
  return m
end
local function save(s, m)
  if m and m.dirty then
    call('HSET', KEYS[s], 'p', text(m.p), 'b', text(m.b), 'c', text(m.c))
    if m.u then call('HSET', KEYS[s], 'u', m.u) end
    m.dirty = false
  end
end
-- What goes into one queue in one batch, but for the first of it, is added by one call, before anything else looks at that queue: a fifth less work for
-- Redis where messages go to few queues, none more where each goes to another.
local lines = {}
local function addAll(s, list)
  for from = 1, #list, 1000 do call('ZADD', KEYS[s + 1], _G.unpack(list, from, math.min(from + 999, #list))) end
end
local function flush(s)
  local line = lines[s]
  if not line then return end
  lines[s] = nil
  local ok, failure = pcall(addAll, s, line.list)
  if ok then return end
  for _, number in ipairs(line.ops) do out[#out + 1] = {number, 'error', tostring(type(failure) == 'table' and failure.err or failure)} end
end
local function add(s, position, member)
  local line = lines[s]
  if not line then
    line = { list = {}, ops = {} }
    lines[s] = line
  end
  line.list[#line.list + 1] = text(position)
  line.list[#line.list + 1] = member
  line.ops[#line.ops + 1] = op
end
local function owned()
  local s, epoch
  s, epoch, at = unpack('>I4d', ops, at)
  if lines[s] then flush(s) end
  local m = load(s)
  if m and m.e == epoch then return s, m end
  tell('lost')
  return s, nil
end

local function unrefer(key, ordinal)
  call('HDEL', key, ordinal)
  if call('HLEN', key) <= 1 then call('DEL', key) end
end
-- An entry has left its queue: its bytes, its identifier and, where it can be reached from here, its hold on a body go too.
local function gone(s, m, member, keepBody)
  local position, size, id, flags = unpack('>dI4I2B', member)
  m.b, m.c, m.dirty = m.b - size, m.c - 1, true
  if id == 0 or flags % 4 == 2 then call('HDEL', KEYS[s + 2], 'o' .. text(position)) end
  if flags % 64 < 32 and not keepBody then
    local reference, ordinal = unpack('>c16I4', member, 16)
    if bodyPrefix == '' then tell('unrefer', reference, ordinal) else unrefer(bodyPrefix .. reference, ordinal) end
  end
end
local function entryAt(s, position)
  local p = text(position)
  return call('ZRANGEBYSCORE', KEYS[s + 1], p, p)[1]
end
local function identifierOf(s, member)
  local position, _, given = unpack('>dI4I2', member)
  if given ~= 0 then return given, position end
  local state = call('HGET', KEYS[s + 2], 'o' .. text(position))
  return state and tonumber((string.gsub(state, 'r', ''))) or 0, position
end
-- By position, or where the owner does not know that, or no longer rightly: by packet identifier.
local function find(s, position, id)
  if position > 0 then
    local member = entryAt(s, position)
    if member and identifierOf(s, member) == id then return member, position end
  end
  local from = '-inf'
  while true do
    local page = call('ZRANGEBYSCORE', KEYS[s + 1], from, '+inf', 'LIMIT', 0, 100)
    if #page == 0 then return nil end
    for _, member in ipairs(page) do
      local given, found = identifierOf(s, member)
      if given == id then return member, found end
      from = '(' .. text(found)
    end
  end
end
local function firstUnsent(s, m)
  local from = m.u or '-inf'
  while true do
    local page = call('ZRANGEBYSCORE', KEYS[s + 1], from, '+inf', 'LIMIT', 0, 100)
    if #page == 0 then return nil end
    for _, member in ipairs(page) do
      local position, _, id = unpack('>dI4I2', member)
      from = '(' .. text(position)
      if id == 0 and call('HEXISTS', KEYS[s + 2], 'o' .. text(position)) == 0 then
        m.u = from
        return member
      end
    end
  end
end
local function makeRoom(s, m, size, n)
  if size > bytesMax then return false end
  while m.c >= messagesMax or m.b + size > bytesMax do
    flush(s)
    local member = dropOldest and firstUnsent(s, m)
    if not member then return false end
    call('ZREM', KEYS[s + 1], member)
    gone(s, m, member, true)
    tell('dropped', n, member)
  end
  return true
end
-- A session ends: its queue is put aside under another name, for whoever asked to go through it at leisure.
local function finish(s, m)
  flush(s)
  save(s, m)
  note('e', s, m.e)
  local fields = call('HGETALL', KEYS[s])
  local grave = ''
  if call('EXISTS', KEYS[s + 1]) == 1 then
    grave = KEYS[s + 1] .. ':' .. text(m.e)
    call('RENAME', KEYS[s + 1], grave)
    call('PEXPIRE', grave, 86400000)
    if call('EXISTS', KEYS[s + 2]) == 1 then
      call('RENAME', KEYS[s + 2], grave .. ':ids')
      call('PEXPIRE', grave .. ':ids', 86400000)
    end
  else
    call('DEL', KEYS[s + 2])
  end
  call('DEL', KEYS[s])
  sessions[s] = false
  return {grave, fields}
end
local function park(s, m, expiry, from)
  flush(s)
  call('HDEL', KEYS[s], 'n')
  m.n = false
  note('p', s, m.e)
  local due = math.huge
  local delay = tonumber(call('HGET', KEYS[s], 'wd'))
  if delay then
    due = from + delay
    call('HSET', KEYS[s], 'wa', text(due))
  end
  if expiry >= 0 then
    m.x = from + expiry
    due = math.min(due, m.x)
    call('HSET', KEYS[s], 'x', text(m.x))
    -- Should no broker ever come back, Redis itself clears up a day after the session's end.
    for k = s, s + 2 do call('PEXPIRE', KEYS[k], text(math.max(1, m.x - now) + 86400000)) end
  end
  return due
end

local does = {}
does[${Code.Append}] = function()
  local publisher, epoch, id, body, bytes, count, token, s, giver, tail
  publisher, at = unpack('>I4', ops, at)
  local refused = false
  if publisher > 0 then
    epoch, id, at = unpack('>dI2', ops, at)
    local m = load(publisher)
    if m and m.e == epoch then
      call('HSET', KEYS[publisher + 2], 'i' .. id, 1)
      call('HDEL', KEYS[publisher + 2], 't' .. id)
    else
      refused = true
      tell('lost')
    end
  end
  body, bytes, token, count, at = unpack('>I4I4c0Bc0I4', ops, at)
  local referrers = {}
  local answers, worth = {}, false
  for n = 1, count do
    s, giver, tail, at = unpack('>I4dI4c0', ops, at)
    local m = not refused and load(s)
    local size, given, flags = unpack('>I4I2B', tail)
    if given > 0 and not refused and not (m and m.e == giver) then
      -- The identifier is the newest owner's to give.
      tell('stale', n)
      given, tail = 0, string.sub(tail, 1, 4) .. '\\0\\0' .. string.sub(tail, 7)
    end
    if not m then
      answers[n], worth = -1, true
    elseif token ~= '' and call('HEXISTS', KEYS[s + 2], 'k' .. token) == 1 then
      answers[n] = 0
    elseif not makeRoom(s, m, size, n) then
      answers[n], worth = -2, true
    else
      local position = m.p + 1
      if m.x and m.c == 0 then
        local left = call('PTTL', KEYS[s])
        call('ZADD', KEYS[s + 1], text(position), struct.pack('>d', position) .. tail)
        if left > 0 then call('PEXPIRE', KEYS[s + 1], left) end
      else
        local member = struct.pack('>d', position) .. tail
        if m.added then add(s, position, member) else call('ZADD', KEYS[s + 1], text(position), member) end
        m.added = true
      end
      if token ~= '' then call('HSET', KEYS[s + 2], 'k' .. token, text(now)) end
      m.p, m.b, m.c, m.dirty = position, m.b + size, m.c + 1, true
      answers[n] = position
      if given > 0 then
        worth = true
      elseif m.n and m.n ~= node and noting ~= '' then
        wakes[m.n] = wakes[m.n] or {}
        wakes[m.n][KEYS[s]] = true
      end
      if body > 0 and flags % 64 < 32 then
        referrers[#referrers + 1] = (unpack('>I4', tail, 24))
        referrers[#referrers + 1] = KEYS[s + 1]
      end
    end
  end
  if #referrers > 0 then
    call('HSET', KEYS[body], 'b', bytes)
    for from = 1, #referrers, 1000 do call('HSET', KEYS[body], _G.unpack(referrers, from, math.min(from + 999, #referrers))) end
  end
  if worth and not refused then tell('appended', answers) end
end
does[${Code.Intend}] = function()
  local id, token
  local s, m = owned()
  id, token, at = unpack('>I2Bc0', ops, at)
  if not m then return end
  local earlier = call('HGET', KEYS[s + 2], 't' .. id)
  if not earlier then call('HSET', KEYS[s + 2], 't' .. id, token) end
  tell('token', earlier or token)
end
does[${Code.Claim}] = function()
  local s, clean, expiry, node, delay, will
  s, clean, expiry, node, delay, will, at = unpack('>I4BdBc0dI4c0', ops, at)
  local time = call('TIME')
  local epoch = tonumber(time[1]) * 1000000 + tonumber(time[2])
  flush(s)
  local m, ended, orphan = load(s), false, ''
  if m and m.e >= epoch then epoch = m.e + 1 end
  if m and (clean == 1 or (m.x and m.x <= now)) then
    ended = finish(s, m)
    m = false
  end
  local present = m ~= false
  if not present and expiry == 0 then return tell('claimed', epoch, 0, ended or {}, {}, {}) end
  if m then
    save(s, m)
    -- A will that is due: were it not, its owner would have taken it back or put its time off.
    local f = call('HMGET', KEYS[s], 'w', 'wd', 'wa')
    if f[1] and (tonumber(f[2]) == 0 or (f[3] and tonumber(f[3]) <= now)) then orphan = f[1] end
    call('HDEL', KEYS[s], 'x', 'wa', 'w', 'wd')
    if m.x then for k = s, s + 2 do call('PERSIST', KEYS[k]) end end
    call('HSET', KEYS[s], 'e', text(epoch), 'n', node, 'm', text(expiry))
  else
    call('HSET', KEYS[s], 'e', text(epoch), 'n', node, 'm', text(expiry), 'p', 0, 'b', 0, 'c', 0)
  end
  if will ~= '' then call('HSET', KEYS[s], 'w', will, 'wd', text(delay)) end
  sessions[s] = nil
  note('c', s, epoch, node)
  tell('claimed', epoch, present and 1 or 0, ended or {}, present and call('HGETALL', KEYS[s]) or {}, present and call('HKEYS', KEYS[s + 2]) or {}, orphan)
end
does[${Code.Ack}] = function()
  local position, id
  local s, m = owned()
  position, id, at = unpack('>dI2', ops, at)
  if not m then return end
  local member = find(s, position, id)
  if not member then return end
  call('ZREM', KEYS[s + 1], member)
  gone(s, m, member)
end
does[${Code.Send}] = function()
  local position, id
  local s, m = owned()
  position, id, at = unpack('>dI2', ops, at)
  if m and entryAt(s, position) then call('HSET', KEYS[s + 2], 'o' .. text(position), id) end
end
does[${Code.Remove}] = function()
  local position
  local s, m = owned()
  position, at = unpack('>d', ops, at)
  local member = m and entryAt(s, position)
  if not member then return end
  call('ZREM', KEYS[s + 1], member)
  call('HDEL', KEYS[s + 2], 'o' .. text(position))
  gone(s, m, member)
end
does[${Code.Release}] = function()
  local position, id
  local s, m = owned()
  position, id, at = unpack('>dI2', ops, at)
  if not m then return end
  local member, found = find(s, position, id)
  if member then call('HSET', KEYS[s + 2], 'o' .. text(found), id .. 'r') end
end
does[${Code.Forget}] = function()
  local id
  local s, m = owned()
  id, at = unpack('>I2', ops, at)
  if m then call('HDEL', KEYS[s + 2], 'i' .. id) end
end
does[${Code.Subscribe}] = function()
  local count, filter, value
  local s, m = owned()
  count, at = unpack('>I4', ops, at)
  local given = {}
  for _ = 1, count do
    filter, value, at = unpack('>I2c0Bc0', ops, at)
    if m then
      call('HSET', KEYS[s], 's' .. filter, value)
      given[#given + 1] = filter
      given[#given + 1] = value
    end
  end
  if m then note('s', s, m.e, given) end
end
does[${Code.Unsubscribe}] = function()
  local count, filter
  local s, m = owned()
  count, at = unpack('>I4', ops, at)
  local taken = {}
  for _ = 1, count do
    filter, at = unpack('>I2c0', ops, at)
    if m then
      call('HDEL', KEYS[s], 's' .. filter)
      taken[#taken + 1] = filter
    end
  end
  if m then note('u', s, m.e, taken) end
end
does[${Code.Close}] = function()
  local expiry, keepWill, from
  local s, m = owned()
  expiry, keepWill, from, at = unpack('>dBd', ops, at)
  if not m then return end
  if keepWill == 0 then call('HDEL', KEYS[s], 'w', 'wd') end
  park(s, m, expiry, from)
end
does[${Code.End}] = function()
  local s, epoch
  s, epoch, at = unpack('>I4d', ops, at)
  local m = load(s)
  if not m then return tell('none') end
  -- Epoch 0: whoever it belongs to.
  if epoch > 0 and m.e ~= epoch then return tell('lost') end
  tell('ended', finish(s, m))
end
does[${Code.Due}] = function()
  local s
  s, at = unpack('>I4', ops, at)
  local m = load(s)
  if not m then return tell('none') end
  if m.x and m.x <= now then return tell('ended', finish(s, m)) end
  local f = call('HMGET', KEYS[s], 'wa', 'w')
  local willAt = tonumber(f[1])
  if willAt and willAt <= now then
    call('HDEL', KEYS[s], 'w', 'wd', 'wa')
    tell('will', f[2] or '', m.x and text(m.x) or '')
  elseif willAt or m.x then
    tell('later', text(math.min(willAt or math.huge, m.x or math.huge)))
  else
    tell('none')
  end
end
-- A due time has been dealt with, unless it has been given anew since.
does[${Code.Settle}] = function()
  local key, score, member, later
  key, score, later, member, at = unpack('>I4ddI4c0', ops, at)
  if tonumber(call('ZSCORE', KEYS[key], member)) ~= score then return end
  if later > 0 then call('ZADD', KEYS[key], text(later), member) else call('ZREM', KEYS[key], member) end
end
-- The session of a broker that ended without closing it: its clocks start at that broker's last sign of life.
does[${Code.Park}] = function()
  local s, from, node
  s, from, node, at = unpack('>I4dBc0', ops, at)
  local m = load(s)
  if not m then return end
  local f = call('HMGET', KEYS[s], 'n', 'm')
  if f[1] ~= node then return end
  local due = park(s, m, tonumber(f[2]), from)
  if due < math.huge then tell('parked', text(due)) end
end
does[${Code.Unrefer}] = function()
  local key, ordinal
  key, ordinal, at = unpack('>I4I4', ops, at)
  unrefer(KEYS[key], ordinal)
end
does[${Code.Command}] = function()
  local name, key, count, argument
  local arguments = {}
  name, key, count, at = unpack('>Bc0I4I4', ops, at)
  for n = 1, count do arguments[n], at = unpack('>I4c0', ops, at) end
  tell('answer', call(name, KEYS[key], _G.unpack(arguments)))
end

-- To a node that does not keep up nothing more is posted.
does[${Code.Post}] = function()
  local key, max, data
  key, max, data, at = unpack('>I4I4I4c0', ops, at)
  if call('XLEN', KEYS[key]) >= max then return tell('full') end
  call('XADD', KEYS[key], '*', 'd', data)
  call('PEXPIRE', KEYS[key], 86400000)
end

local size = #ops
while at <= size do
  local code, stop
  op = op + 1
  code, stop, at = unpack('>BI4', ops, at)
  stop = at + stop
  local ok, failure = pcall(does[code])
  if not ok then tell('error', tostring(type(failure) == 'table' and failure.err or failure)) end
  at = stop
end
for s, m in pairs(sessions) do
  if lines[s] then flush(s) end
  save(s, m)
end
op = 0
if #notes > 0 then
  local said = cjson.encode(notes)
  if noting == 'here' then call('XADD', ARGV[11], 'MAXLEN', '~', ${logEntries}, '*', 'n', node, 'k', 's', 'd', said) else tell('notes', said) end
end
for to, keys in pairs(wakes) do
  local list = {}
  for key in pairs(keys) do list[#list + 1] = key end
  local said = cjson.encode(list)
  if noting == 'here' then call('PUBLISH', ARGV[12] .. to, 'w' .. said) else tell('wake', to, said) end
end
call('HSET', KEYS[1], 's', ARGV[1], 'r', cmsgpack.pack(out))
return out
`
