import { Code, sessionField } from '../script/layout.ts'
import { Operands } from '../script/operands.ts'
import { ownerOperation } from '../script/operation-script.ts'

/** The topic filter of one subscription. */
export const unsubscribed = new Operands({ filter: 'text' })

/** Takes subscriptions back; as many as `count` says follow. */
export const unsubscribe = ownerOperation(
  Code.Unsubscribe,
  { count: 'fourBytes' },
  `
local removed = {}
for _ = 1, count do${unsubscribed.read}
  if record then
    call('HDEL', KEYS[session], '${sessionField.subscription}' .. filter)
    removed[#removed + 1] = filter
  end
end
if record then note('u', session, record.epoch, removed) end
`,
)
