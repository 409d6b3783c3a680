import { SessionOwnedError } from '../../../core/sessions/session-store.ts'
import type { EndedFields, Rows } from '../operation.ts'
import { Code, sessionField as field, keyAt, storedFormat } from '../script/layout.ts'
import { operation } from '../script/operation-script.ts'
import { decodeUser } from '../user-name.ts'

const noBytes = Buffer.alloc(0)

/**
 * Makes a session's newest owner, or ends the session first. Says `owned` with the user that it belongs to, where it is to be given to that user only; else `claimed`: the epoch, 1 where the session goes on, what the session left that has
 * ended, the fields and the names of the identifiers of the one that goes on, and its will where nobody else will send it.
 */
export const claim = operation(
  Code.Claim,
  {
    session: 'session',
    clean: 'byte',
    expiry: 'double',
    owner: 'shortText',
    user: 'longText',
    userOnly: 'byte',
    delay: 'double',
    will: 'binary',
    cleanWills: 'key',
    run: 'shortText',
  },
  `
local time = call('TIME')
local epoch = tonumber(time[1]) * 1000000 + tonumber(time[2])
flush(session)
local record, ended, orphan = load(session), false, ''
local over = record and record.expiresAt and record.expiresAt <= now
if record and userOnly == 1 and not over then
  local belongsTo = call('HGET', KEYS[session], '${field.user}')
  if belongsTo and belongsTo ~= user then return tell('owned', belongsTo) end
end
if record and record.epoch >= epoch then epoch = record.epoch + 1 end
if record and (clean == 1 or over) then
  ended = finish(session, record)
  record = false
end
local present = record ~= false
-- What an earlier run of this node has kept, and will not send any more.
local function orphanedCleanWill()
  local kept = call('HGET', KEYS[cleanWills], owner)
  if not kept or string.sub(kept, 1, #run) == run then return '' end
  call('HDEL', KEYS[cleanWills], owner)
  return string.sub(kept, #run + 1)
end
if not present and expiry == 0 then return tell('claimed', epoch, 0, ended or {}, {}, {}, orphanedCleanWill()) end
if record then
  save(session, record)
  -- A will that is due: were it not, its owner would have taken it back or put its time off.
  local f = call('HMGET', KEYS[session], '${field.will}', '${field.willDelay}', '${field.willAt}')
  if f[1] and (tonumber(f[2]) == 0 or (f[3] and tonumber(f[3]) <= now)) then orphan = f[1] end
  call('HDEL', KEYS[session], '${field.expiresAt}', '${field.willAt}', '${field.will}', '${field.willDelay}')
  if record.expiresAt then for key = session, session + ${keyAt.identifiers} do call('PERSIST', KEYS[key]) end end
  call('HSET', KEYS[session], '${field.epoch}', text(epoch), '${field.node}', owner, '${field.expiryMs}', text(expiry), '${field.user}', user)
else
  count(1, 0, 0)
  call('HSET', KEYS[session], '${field.format}', ${storedFormat}, '${field.user}', user, '${field.epoch}', text(epoch), '${field.node}', owner, '${field.expiryMs}', text(expiry), '${field.lastPosition}', 0, '${field.bytes}', 0, '${field.count}', 0)
end
if user == '' then call('HDEL', KEYS[session], '${field.user}') end
if will ~= '' then call('HSET', KEYS[session], '${field.will}', will, '${field.willDelay}', text(delay)) end
if orphan == '' then orphan = orphanedCleanWill() end
records[session] = nil
note('c', session, epoch, owner)
tell('claimed', epoch, present and 1 or 0, ended or {}, present and call('HGETALL', KEYS[session]) or {}, present and call('HKEYS', KEYS[session + ${keyAt.identifiers}]) or {}, orphan)
`,
)

/** The claim was refused, because the session belongs to another user. */
export function isOwned(rows: Rows): boolean {
  return rows?.[0]?.kind === 'owned'
}

/** What the script says of a claim that it did not refuse. */
export interface Claimed {
  readonly epoch: number
  readonly present: boolean
  readonly ended: EndedFields | null
  readonly fields: ReadonlyMap<string, Buffer>
  readonly names: readonly string[]
  readonly orphan: Buffer
}

/** Reads it; throws where the session belongs to another user. */
export function claimedOf(clientId: string, rows: Rows): Claimed {
  if (isOwned(rows)) throw new SessionOwnedError(clientId, decodeUser(String(rows![0]!.values[0])))
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
