import { Code, sessionField as field } from '../script/layout.ts'
import { operation } from '../script/operation-script.ts'

/** Something of a session may have come due. Says `ended` with what is left, `will` with the will and when the session expires, `later` with when, or `none`. */
export const due = operation(
  Code.Due,
  { session: 'session' },
  `
local record = load(session)
if not record then return tell('none') end
local expiresAt = record.expiresAt
if expiresAt and expiresAt <= now then return tell('ended', finish(session, record)) end
local f = call('HMGET', KEYS[session], '${field.willAt}', '${field.will}')
local willAt = tonumber(f[1])
if willAt and willAt <= now then
  call('HDEL', KEYS[session], '${field.will}', '${field.willDelay}', '${field.willAt}')
  tell('will', f[2] or '', expiresAt and text(expiresAt) or '')
elseif willAt or expiresAt then
  tell('later', text(math.min(willAt or math.huge, expiresAt or math.huge)))
else
  tell('none')
end
`,
)
