import { Code, identifierField, keyAt } from '../script/layout.ts'
import { ownerOperation } from '../script/operation-script.ts'

/** PUBREL has come: the packet identifier of a QoS 2 message that was received may be used again. */
export const forget = ownerOperation(
  Code.Forget,
  { packetId: 'twoBytes' },
  `
if record then call('HDEL', KEYS[session + ${keyAt.identifiers}], '${identifierField.inbound}' .. packetId) end
`,
)
