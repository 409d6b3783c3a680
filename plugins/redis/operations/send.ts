import { Code, identifierField, keyAt } from '../script/layout.ts'
import { ownerOperation } from '../script/operation-script.ts'

/** Gives an entry that waits its packet identifier. */
export const send = ownerOperation(
  Code.Send,
  { position: 'double', packetId: 'twoBytes' },
  `
if record and entryAt(session, position) then call('HSET', KEYS[session + ${keyAt.identifiers}], '${identifierField.outbound}' .. text(position), packetId) end
`,
)
