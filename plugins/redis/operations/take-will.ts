import { Code } from '../script/layout.ts'
import { operation } from '../script/operation-script.ts'

/** The run of a node that kept this will has ended: whoever asks first has it. Says `will`, or nothing where it is not there any more. */
export const takeWill = operation(
  Code.TakeWill,
  { cleanWills: 'key', node: 'shortText', run: 'shortText' },
  `
local kept = call('HGET', KEYS[cleanWills], node)
if not kept or string.sub(kept, 1, #run) ~= run then return end
call('HDEL', KEYS[cleanWills], node)
tell('will', string.sub(kept, #run + 1))
`,
)
