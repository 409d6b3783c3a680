import { Code, sessionField } from '../script/layout.ts'
import { Operands } from '../script/operands.ts'
import { ownerOperation } from '../script/operation-script.ts'

/** One subscription: its topic filter, and its options as text, behind which its client's own name for it may stand. */
export const subscription = new Operands({ filter: 'text', options: 'longText' })

/** Keeps subscriptions; as many as `count` says follow. */
export const subscribe = ownerOperation(
  Code.Subscribe,
  { count: 'fourBytes' },
  `
local given = {}
for _ = 1, count do${subscription.read}
  if record then
    call('HSET', KEYS[session], '${sessionField.subscription}' .. filter, options)
    given[#given + 1] = filter
    given[#given + 1] = options
  end
end
if record then note('s', session, record.epoch, given) end
`,
)
