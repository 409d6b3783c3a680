import { sessionField as field, storedFormat } from './layout.ts'
import { owner } from './operation-script.ts'

/** Lua: what is known of a session is read once in a batch and written once. `load` is nil for none; `owned` reads who writes, and looks whether that is the newest owner. */
export const recordFunctions = `
local records = {}
-- Counted and marked as of this version from here on. Nothing else has to change: what the older format lacks is known not to be there.
local function migrate(session, record, format)
  if format > ${storedFormat} then error({err = 'NEWER ' .. format}) end
  call('HSET', KEYS[session], '${field.format}', ${storedFormat})
  count(1, record.count, record.bytes)
end
local function load(session)
  touching = session
  local record = records[session]
  if record == nil then
    local f = call('HMGET', KEYS[session], '${field.epoch}', '${field.lastPosition}', '${field.bytes}', '${field.count}', '${field.expiresAt}', '${field.unsentFrom}', '${field.node}', '${field.format}')
    record = f[1] and {
      epoch = tonumber(f[1]), lastPosition = tonumber(f[2]), bytes = tonumber(f[3]), count = tonumber(f[4]),
      expiresAt = tonumber(f[5]), unsentFrom = f[6], node = f[7],
    } or false
    if record then record.messagesBefore, record.bytesBefore = record.count, record.bytes end
    if record and f[8] ~= '${storedFormat}' then migrate(session, record, tonumber(f[8] or 1)) end
    records[session] = record
  end
  return record
end
local function save(session, record)
  if record and record.dirty then
    moreMessages, moreBytes = moreMessages + record.count - record.messagesBefore, moreBytes + record.bytes - record.bytesBefore
    record.messagesBefore, record.bytesBefore = record.count, record.bytes
    call('HSET', KEYS[session], '${field.lastPosition}', text(record.lastPosition), '${field.bytes}', text(record.bytes), '${field.count}', text(record.count))
    if record.unsentFrom then call('HSET', KEYS[session], '${field.unsentFrom}', record.unsentFrom) end
    record.dirty = false
  end
end
-- What the other nodes have to know of a session.
local function note(kind, session, epoch, more)
  if noting ~= '' then notes[#notes + 1] = {kind, KEYS[session], text(epoch), more} end
end
`

/** Lua: needs the functions of records and of queues. */
export const ownerFunction = `
local function owned()${owner.read}
  if additions[session] then flush(session) end
  local record = load(session)
  if record and record.epoch == epoch then return session, record end
  tell('lost')
  return session, nil
end
`
