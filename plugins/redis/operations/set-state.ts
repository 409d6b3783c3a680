import { Code, stateField } from '../script/layout.ts'
import { operation } from '../script/operation-script.ts'

/**
 * Puts a value under a key of the state, or takes the key away: an empty `value`. `only`: only where this stands there; empty: whatever does. Says `state`: how often the
 * state has changed, this time included, and 1 where something stood under the key.
 */
export const setState = operation(
  Code.SetState,
  { state: 'key', name: 'text', value: 'longText', only: 'longText' },
  `
touching = state
local field = '${stateField.key}' .. name
local before = call('HGET', KEYS[state], field)
if only ~= '' and before ~= only then return tell('state', 0, 0) end
if value ~= '' then call('HSET', KEYS[state], field, value) elseif before then call('HDEL', KEYS[state], field) end
tell('state', call('HINCRBY', KEYS[state], '${stateField.version}', 1), before and 1 or 0)
`,
)
