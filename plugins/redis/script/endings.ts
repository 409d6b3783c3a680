import { sessionField as field, keyAt, leftoverMs } from './layout.ts'

/** Lua: sessions that end, and sessions whose connections end. Needs the functions of records and of queues. */
export const endingFunctions = `
-- A session ends: its queue is put aside under another name, for whoever asked to go through it at leisure.
local function finish(session, record)
  flush(session)
  save(session, record)
  note('e', session, record.epoch)
  count(-1, -record.count, -record.bytes)
  local fields = call('HGETALL', KEYS[session])
  local queue, identifiers = KEYS[session + ${keyAt.queue}], KEYS[session + ${keyAt.identifiers}]
  local aside = ''
  if call('EXISTS', queue) == 1 then
    aside = queue .. ':' .. text(record.epoch)
    call('RENAME', queue, aside)
    call('PEXPIRE', aside, ${leftoverMs})
    if call('EXISTS', identifiers) == 1 then
      call('RENAME', identifiers, aside .. ':ids')
      call('PEXPIRE', aside .. ':ids', ${leftoverMs})
    end
  else
    call('DEL', identifiers)
  end
  call('DEL', KEYS[session])
  records[session] = false
  return {aside, fields}
end
-- Nobody is connected: from \`from\` on the session's expiry and its will's delay run. Returns when the first of them is over.
local function park(session, record, expiry, from)
  flush(session)
  call('HDEL', KEYS[session], '${field.node}')
  call('HSET', KEYS[session], '${field.expiryMs}', text(expiry))
  record.node = false
  note('p', session, record.epoch)
  local due = math.huge
  local delay = tonumber(call('HGET', KEYS[session], '${field.willDelay}'))
  if delay then
    due = from + delay
    call('HSET', KEYS[session], '${field.willAt}', text(due))
  end
  if expiry >= 0 then
    record.expiresAt = from + expiry
    due = math.min(due, record.expiresAt)
    call('HSET', KEYS[session], '${field.expiresAt}', text(record.expiresAt))
    -- Should no broker ever come back, Redis itself clears up a day after the session's end.
    for key = session, session + ${keyAt.identifiers} do call('PEXPIRE', KEYS[key], text(math.max(1, record.expiresAt - now) + ${leftoverMs})) end
  end
  return due
end
`
