import type { EndedFields } from '../ended-sessions.ts'
import { Code, sessionField as field, keyAt } from '../script/layout.ts'
import { operation } from '../script/operation-script.ts'
import type { Rows } from '../writes.ts'

const noBytes = Buffer.alloc(0)

/**
 * Makes a session's newest owner, or ends the session first. Says `claimed`: the epoch, 1 where the session goes on, what the session left that has
 * ended, the fields and the names of the identifiers of the one that goes on, and its will where nobody else will send it.
 */
export const claim = operation(
  Code.Claim,
  { session: 'session', clean: 'byte', expiry: 'double', owner: 'shortText', delay: 'double', will: 'binary' },
  `
local time = call('TIME')
local epoch = tonumber(time[1]) * 1000000 + tonumber(time[2])
flush(session)
local record, ended, orphan = load(session), false, ''
if record and record.epoch >= epoch then epoch = record.epoch + 1 end
if record and (clean == 1 or (record.expiresAt and record.expiresAt <= now)) then
  ended = finish(session, record)
  record = false
end
local present = record ~= false
if not present and expiry == 0 then return tell('claimed', epoch, 0, ended or {}, {}, {}) end
if record then
  save(session, record)
  -- A will that is due: were it not, its owner would have taken it back or put its time off.
  local f = call('HMGET', KEYS[session], '${field.will}', '${field.willDelay}', '${field.willAt}')
  if f[1] and (tonumber(f[2]) == 0 or (f[3] and tonumber(f[3]) <= now)) then orphan = f[1] end
  call('HDEL', KEYS[session], '${field.expiresAt}', '${field.willAt}', '${field.will}', '${field.willDelay}')
  if record.expiresAt then for key = session, session + ${keyAt.identifiers} do call('PERSIST', KEYS[key]) end end
  call('HSET', KEYS[session], '${field.epoch}', text(epoch), '${field.node}', owner, '${field.expiryMs}', text(expiry))
else
  call('HSET', KEYS[session], '${field.epoch}', text(epoch), '${field.node}', owner, '${field.expiryMs}', text(expiry), '${field.lastPosition}', 0, '${field.bytes}', 0, '${field.count}', 0)
end
if will ~= '' then call('HSET', KEYS[session], '${field.will}', will, '${field.willDelay}', text(delay)) end
records[session] = nil
note('c', session, epoch, owner)
tell('claimed', epoch, present and 1 or 0, ended or {}, present and call('HGETALL', KEYS[session]) or {}, present and call('HKEYS', KEYS[session + ${keyAt.identifiers}]) or {}, orphan)
`,
)

/** What the script says of a claim. */
export interface Claimed {
  readonly epoch: number
  readonly present: boolean
  readonly ended: EndedFields | null
  readonly fields: ReadonlyMap<string, Buffer>
  readonly names: readonly string[]
  readonly orphan: Buffer
}

export function claimedOf(rows: Rows): Claimed {
  const [epoch, present, ended, fields, names, orphan] = rows![0]!.values as [number, number, EndedFields | [], Buffer[], Buffer[], Buffer?]
  const pairs = new Map<string, Buffer>()
  for (let i = 0; i < fields.length; i += 2) pairs.set(fields[i]!.toString(), fields[i + 1]!)
  return {
    epoch,
    present: present === 1,
    ended: ended.length === 0 ? null : (ended as EndedFields),
    fields: pairs,
    names: names.map(String),
    orphan: orphan ?? noBytes,
  }
}
