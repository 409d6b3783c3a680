import { Code, identifierField, keyAt } from '../script/layout.ts'
import { ownerOperation } from '../script/operation-script.ts'

/** A QoS 2 publication that spans several slots begins. Says `token`: the one that an earlier try under this packet identifier was given, or else this. */
export const intend = ownerOperation(
  Code.Intend,
  { packetId: 'twoBytes', token: 'shortText' },
  `
if not record then return end
local earlier = call('HGET', KEYS[session + ${keyAt.identifiers}], '${identifierField.publishing}' .. packetId)
if not earlier then call('HSET', KEYS[session + ${keyAt.identifiers}], '${identifierField.publishing}' .. packetId, token) end
tell('token', earlier or token)
`,
)
