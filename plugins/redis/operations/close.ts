import { Code, sessionField as field } from '../script/layout.ts'
import { ownerOperation } from '../script/operation-script.ts'

/** The connection has ended, at `from` by the store's time. An `expiry` below 0: the session does not expire. */
export const close = ownerOperation(
  Code.Close,
  { expiry: 'double', keepWill: 'byte', from: 'double' },
  `
if not record then return end
if keepWill == 0 then call('HDEL', KEYS[session], '${field.will}', '${field.willDelay}') end
park(session, record, expiry, from)
`,
)
