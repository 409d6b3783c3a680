import { Code } from '../script/layout.ts'
import { ownerOperation } from '../script/operation-script.ts'

/** The handshake of a packet identifier is over: the entry leaves the queue. `position` 0: the owner does not know where it is. */
export const ack = ownerOperation(
  Code.Ack,
  { position: 'double', packetId: 'twoBytes' },
  `
if not record then return end
local member = find(session, position, packetId)
if member then removeMember(session, record, member) end
`,
)
