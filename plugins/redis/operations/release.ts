import { Code, identifierField, keyAt, releasedMark } from '../script/layout.ts'
import { ownerOperation } from '../script/operation-script.ts'

/** PUBREC has come: from now on PUBREL is owed, not the message. `position` 0: the owner does not know where the entry is. */
export const release = ownerOperation(
  Code.Release,
  { position: 'double', packetId: 'twoBytes' },
  `
if not record then return end
local member, found = find(session, position, packetId)
if member then call('HSET', KEYS[session + ${keyAt.identifiers}], '${identifierField.outbound}' .. text(found), packetId .. '${releasedMark}') end
`,
)
