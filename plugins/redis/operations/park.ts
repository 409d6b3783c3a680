import { Code, sessionField as field } from '../script/layout.ts'
import { operation } from '../script/operation-script.ts'

/**
 * The session of a broker that ended without closing it, as of the epoch that is known of it: who has claimed it since, even at that very broker, keeps it. Its
 * clocks start at that broker's last sign of life. Says `parked` with when something comes due.
 */
export const park = operation(
  Code.Park,
  { session: 'session', from: 'double', owner: 'shortText', epoch: 'double' },
  `
local record = load(session)
if not record or record.epoch ~= epoch then return end
local f = call('HMGET', KEYS[session], '${field.node}', '${field.expiryMs}')
if f[1] ~= owner then return end
local due = park(session, record, tonumber(f[2]), from)
if due < math.huge then tell('parked', text(due)) end
`,
)
