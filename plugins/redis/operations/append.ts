import {
  argumentsPerCall,
  bodyField,
  Code,
  entryFlag,
  entryReference,
  entryTail,
  identifierField,
  keyAt,
  positionFormat,
} from '../script/layout.ts'
import { Operands } from '../script/operands.ts'
import { operation } from '../script/operation-script.ts'

/** Who published the message at QoS 2 and under which packet identifier; only where `publisher` is not 0. */
export const publication = new Operands({ epoch: 'double', packetId: 'twoBytes' })

/** The body that lies apart (`bytes` only where `body` is not 0), the publication's token ('' for none), and how many targets follow. */
export const contents = new Operands({ body: 'maybeKey', bytes: 'binary', token: 'shortText', targets: 'fourBytes' })

/** One queue: its session, the epoch of the owner who gave the packet identifier, and the entry without its position. */
export const target = new Operands({ session: 'session', giver: 'double', tail: 'binary' })

// Where Lua, which counts from 1, finds the parts of an entry's tail.
const packetIdAt = entryTail.at.packetId
const referenceAt = entryTail.bytes + 1

/**
 * Puts a message into queues, keeps its body, and remembers that a QoS 2 publication was received, all at once. Behind `publisher` follow `publication`,
 * `contents` and the targets. Says, where that is worth anything, `appended` with one number for each target: its position, 0 where the queue has it already,
 * -1 where the session is not there, -2 where the queue is full.
 */
export const append = operation(
  Code.Append,
  { publisher: 'maybeSession' },
  `
local refused, received = false, nil
if publisher > 0 then${publication.read}
  local record = load(publisher)
  if record and record.epoch == epoch then
    received = packetId
  else
    refused = true
    tell('lost')
  end
end${contents.read}
local referrers = {}
local answers, worth = {}, false
for n = 1, targets do${target.read}
  local record = not refused and load(session)
  local size, given, flags = unpack('>${entryTail.format}', tail)
  if given > 0 and not refused and not (record and record.epoch == giver) then
    -- The identifier is the newest owner's to give.
    tell('stale', n)
    given, tail = 0, string.sub(tail, 1, ${packetIdAt}) .. '\\0\\0' .. string.sub(tail, ${packetIdAt + 3})
  end
  if not record then
    answers[n], worth = -1, true
  elseif token ~= '' and call('HEXISTS', KEYS[session + ${keyAt.identifiers}], '${identifierField.placed}' .. token) == 1 then
    answers[n] = 0
  elseif not makeRoom(session, record, size, n) then
    answers[n], worth = -2, true
  else
    local position = record.lastPosition + 1
    if record.expiresAt and record.count == 0 then
      local left = call('PTTL', KEYS[session])
      call('ZADD', KEYS[session + ${keyAt.queue}], text(position), struct.pack('${positionFormat}', position) .. tail)
      if left > 0 then call('PEXPIRE', KEYS[session + ${keyAt.queue}], left) end
    else
      local member = struct.pack('${positionFormat}', position) .. tail
      if record.added then add(session, position, member) else call('ZADD', KEYS[session + ${keyAt.queue}], text(position), member) end
      record.added = true
    end
    if token ~= '' then call('HSET', KEYS[session + ${keyAt.identifiers}], '${identifierField.placed}' .. token, text(now)) end
    record.lastPosition, record.bytes, record.count, record.dirty = position, record.bytes + size, record.count + 1, true
    answers[n] = position
    if given > 0 then
      worth = true
    elseif record.node and record.node ~= node and noting ~= '' then
      wakes[record.node] = wakes[record.node] or {}
      wakes[record.node][KEYS[session]] = true
    end
    if body > 0 and flags % ${2 * entryFlag.inline} < ${entryFlag.inline} then
      referrers[#referrers + 1] = (unpack('>I4', tail, ${referenceAt + entryReference.ordinalAt}))
      referrers[#referrers + 1] = KEYS[session + ${keyAt.queue}]
    end
  end
end
if #referrers > 0 then
  call('HSET', KEYS[body], '${bodyField}', bytes)
  for from = 1, #referrers, ${argumentsPerCall} do call('HSET', KEYS[body], _G.unpack(referrers, from, math.min(from + ${argumentsPerCall - 1}, #referrers))) end
end
-- Last of all, so that a message is sent again which some queue could not be given.
if received then
  call('HSET', KEYS[publisher + ${keyAt.identifiers}], '${identifierField.inbound}' .. received, 1)
  call('HDEL', KEYS[publisher + ${keyAt.identifiers}], '${identifierField.publishing}' .. received)
end
if worth and not refused then tell('appended', answers) end
`,
)
