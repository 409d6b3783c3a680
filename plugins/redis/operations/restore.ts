import { Code, sessionField as field, identifierField, keyAt, positionFormat, releasedMark, storedFormat } from '../script/layout.ts'
import { Operands } from '../script/operands.ts'
import { operation } from '../script/operation-script.ts'
import { subscription } from './subscribe.ts'

/** One message in flight: 1 where PUBREC has come, its packet identifier, and the entry without its position. */
export const sent = new Operands({ released: 'byte', packetId: 'twoBytes', tail: 'binary' })
/** The packet identifier of a QoS 2 message that was received. */
export const received = new Operands({ packetId: 'twoBytes' })

/**
 * Writes a session again that is not there any more, for its owner, whose epoch stays; where there is one, somebody has it, and it stays as it is. As many
 * subscriptions, received identifiers and messages in flight as the counts say follow. Says `restored` with the position of each message.
 */
export const restore = operation(
  Code.Restore,
  {
    session: 'session',
    epoch: 'double',
    expiry: 'double',
    owner: 'shortText',
    user: 'longText',
    delay: 'double',
    will: 'binary',
    subscriptions: 'fourBytes',
    receivedIds: 'fourBytes',
    inFlight: 'fourBytes',
  },
  `
if load(session) then return end
-- Positions go on rising: the owner reads its queue from behind the last one that it has seen.
local time = call('TIME')
local base = tonumber(time[1]) * 1000000 + tonumber(time[2])
count(1, 0, 0)
call('HSET', KEYS[session], '${field.format}', ${storedFormat}, '${field.user}', user, '${field.epoch}', text(epoch), '${field.node}', owner, '${field.expiryMs}', text(expiry), '${field.lastPosition}', text(base), '${field.bytes}', 0, '${field.count}', 0)
if will ~= '' then call('HSET', KEYS[session], '${field.will}', will, '${field.willDelay}', text(delay)) end
note('c', session, epoch, owner)
local given = {}
for _ = 1, subscriptions do${subscription.read}
  call('HSET', KEYS[session], '${field.subscription}' .. filter, options)
  given[#given + 1] = filter
  given[#given + 1] = options
end
if #given > 0 then note('s', session, epoch, given) end
for _ = 1, receivedIds do${received.read}
  call('HSET', KEYS[session + ${keyAt.identifiers}], '${identifierField.inbound}' .. packetId, 1)
end
records[session] = nil
local record, positions = load(session), {}
for n = 1, inFlight do${sent.read}
  local size = unpack('>I4', tail)
  local position = base + n
  call('ZADD', KEYS[session + ${keyAt.queue}], text(position), struct.pack('${positionFormat}', position) .. tail)
  if released == 1 then call('HSET', KEYS[session + ${keyAt.identifiers}], '${identifierField.outbound}' .. text(position), packetId .. '${releasedMark}') end
  record.lastPosition, record.bytes, record.count, record.dirty = position, record.bytes + size, record.count + 1, true
  positions[n] = position
end
tell('restored', positions)
`,
)
