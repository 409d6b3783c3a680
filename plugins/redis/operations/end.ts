import { Code } from '../script/layout.ts'
import { operation } from '../script/operation-script.ts'

/** Ends a session: its owner's where `epoch` says whose, or with epoch 0 whoever's it is. Says `ended` with what is left, `lost`, or `none`. */
export const end = operation(
  Code.End,
  { session: 'session', epoch: 'double' },
  `
local record = load(session)
if not record then return tell('none') end
if epoch > 0 and record.epoch ~= epoch then return tell('lost') end
tell('ended', finish(session, record))
`,
)
