import { Code, identifierField, keyAt } from '../script/layout.ts'
import { ownerOperation } from '../script/operation-script.ts'

/** An entry that is never to be sent leaves the queue. */
export const remove = ownerOperation(
  Code.Remove,
  { position: 'double' },
  `
local member = record and entryAt(session, position)
if not member then return end
call('HDEL', KEYS[session + ${keyAt.identifiers}], '${identifierField.outbound}' .. text(position))
removeMember(session, record, member)
`,
)
