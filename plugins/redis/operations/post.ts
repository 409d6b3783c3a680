import { Code, leftoverMs, logField } from '../script/layout.ts'
import { operation } from '../script/operation-script.ts'

/** Puts a frame into a node's inbox. To a node that does not keep up nothing more is posted: says `full`. */
export const post = operation(
  Code.Post,
  { key: 'key', max: 'fourBytes', frame: 'binary' },
  `
if call('XLEN', KEYS[key]) >= max then return tell('full') end
call('XADD', KEYS[key], '*', '${logField.said}', frame)
call('PEXPIRE', KEYS[key], ${leftoverMs})
`,
)
