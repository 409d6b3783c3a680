import { Code } from '../script/layout.ts'
import { operation } from '../script/operation-script.ts'

/** Keeps the will of a session that ends with its connection, or forgets it: an empty one. `run` names the run of the node that keeps it. */
export const keepWill = operation(
  Code.KeepWill,
  { cleanWills: 'key', node: 'shortText', run: 'shortText', will: 'binary' },
  `
if will ~= '' then
  call('HSET', KEYS[cleanWills], node, run .. will)
else
  local kept = call('HGET', KEYS[cleanWills], node)
  if kept and string.sub(kept, 1, #run) == run then call('HDEL', KEYS[cleanWills], node) end
end
`,
)
