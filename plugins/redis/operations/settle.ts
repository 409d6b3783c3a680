import { Code } from '../script/layout.ts'
import { operation } from '../script/operation-script.ts'

/** A due time has been dealt with, unless it has been given anew since; `later` is the session's next one, 0 for none. */
export const settle = operation(
  Code.Settle,
  { key: 'key', score: 'double', later: 'double', member: 'longText' },
  `
if tonumber(call('ZSCORE', KEYS[key], member)) ~= score then return end
if later > 0 then call('ZADD', KEYS[key], text(later), member) else call('ZREM', KEYS[key], member) end
`,
)
