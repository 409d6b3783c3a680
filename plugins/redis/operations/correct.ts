import { Code, totalField as field } from '../script/layout.ts'
import { operation } from '../script/operation-script.ts'

/** Puts the totals of the slot right, unless they are no longer what they were `before`: then somebody has counted on meanwhile. */
export const correct = operation(
  Code.Correct,
  {
    sessionsBefore: 'double',
    messagesBefore: 'double',
    bytesBefore: 'double',
    sessions: 'double',
    messages: 'double',
    bytes: 'double',
  },
  `
local held = call('HMGET', totals, '${field.sessions}', '${field.messages}', '${field.bytes}')
if tonumber(held[1] or 0) ~= sessionsBefore or tonumber(held[2] or 0) ~= messagesBefore or tonumber(held[3] or 0) ~= bytesBefore then return end
call('HSET', totals, '${field.sessions}', text(sessions), '${field.messages}', text(messages), '${field.bytes}', text(bytes))
`,
)
