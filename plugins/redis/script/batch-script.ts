import { ack } from '../operations/ack.ts'
import { append } from '../operations/append.ts'
import { claim } from '../operations/claim.ts'
import { close } from '../operations/close.ts'
import { command } from '../operations/command.ts'
import { correct } from '../operations/correct.ts'
import { due } from '../operations/due.ts'
import { end } from '../operations/end.ts'
import { forget } from '../operations/forget.ts'
import { intend } from '../operations/intend.ts'
import { keepWill } from '../operations/keep-will.ts'
import { migrate } from '../operations/migrate.ts'
import { park } from '../operations/park.ts'
import { post } from '../operations/post.ts'
import { release } from '../operations/release.ts'
import { remove } from '../operations/remove.ts'
import { restore } from '../operations/restore.ts'
import { send } from '../operations/send.ts'
import { setState } from '../operations/set-state.ts'
import { settle } from '../operations/settle.ts'
import { subscribe } from '../operations/subscribe.ts'
import { takeWill } from '../operations/take-will.ts'
import { unrefer } from '../operations/unrefer.ts'
import { unsubscribe } from '../operations/unsubscribe.ts'
import { endingFunctions } from './endings.ts'
import { Code, frameKind, leftoverMs, logEntries, logField, totalField } from './layout.ts'
import { LuaScript } from './lua-script.ts'
import { queueFunctions } from './queues.ts'
import { ownerFunction, recordFunctions } from './records.ts'

const all = [
  append,
  claim,
  ack,
  send,
  remove,
  release,
  forget,
  subscribe,
  unsubscribe,
  close,
  end,
  due,
  settle,
  park,
  unrefer,
  command,
  intend,
  post,
  migrate,
  keepWill,
  takeWill,
  correct,
  restore,
  setState,
]

/** The keys with names; behind them stand those that the operations name by number. */
export type BatchKey = 'lastBatch' | 'totals'
export type BatchArgument =
  | 'sequence'
  /** 1: this process has written to the slot before, so `lastBatch` must be there. */
  | 'continues'
  /** The store's time: see store-time.ts. */
  | 'time'
  | 'queueMessagesMax'
  | 'queueBytesMax'
  /** 1: the oldest message that waits makes room; 0: the new one is refused. */
  | 'dropsOldest'
  /** Empty where bodies lie in other slots. */
  | 'bodies'
  | 'ops'
  /** 1: Redis is full, and nothing in this batch needs room. */
  | 'makesRoom'
  /** For a cluster, else empty: `here` where its log and channels can be reached from the script, `rows` where what they are to be told is part of the answer. */
  | 'noting'
  /** This node's name. */
  | 'node'
  | 'log'
  | 'channels'
  /** The version of the bus that all nodes speak. */
  | 'busVersion'

const keys: readonly BatchKey[] = ['lastBatch', 'totals']
const batchArguments: readonly BatchArgument[] = [
  'sequence',
  'continues',
  'time',
  'queueMessagesMax',
  'queueBytesMax',
  'dropsOldest',
  'bodies',
  'ops',
  'makesRoom',
  'noting',
  'node',
  'log',
  'channels',
  'busVersion',
]

/**
 * One batch of writes to one slot, all or nothing. It may be sent again when its answer was lost: the key `lastBatch` remembers the
 * writer's last batch and its answer. `totals` counts what the sessions of the slot hold. Operations name other keys by number; a session's three follow one another (hash, queue, identifiers). Answers with rows
 * {operation, kind, …} of those that have something to say; rows of operation 0 are for the cluster, or say what went wrong beside the operations.
 *
 * The first write touches nothing but `lastBatch`, so what Redis says against writing at all (READONLY, OOM, MISCONF…)
 * comes before anything has changed. A batch that makes room begins with a write that needs none instead: Redis asks for
 * room at a script's first write only. What goes wrong later goes wrong within one operation, and is that operation's answer. A `lastBatch` that should be there and
 * is not says EMPTIED: the database was, and nothing is done.
 */
export const batchScript = new LuaScript(
  keys,
  batchArguments,
  `
local call, unpack = redis.call, struct.unpack
local before = call('HMGET', lastBatch, 's', 'r')
local batch, last = tonumber(sequence), tonumber(before[1])
if last == batch then return cmsgpack.unpack(before[2]) end
if last and last > batch then return redis.error_reply('STALE a later batch has been done') end
if not last and continues == '1' then return redis.error_reply('EMPTIED what was written here last is gone') end
if makesRoom ~= '1' then call('HSET', lastBatch, 'a', sequence) end
call('PEXPIRE', lastBatch, ${leftoverMs})
local now, messagesMax, bytesMax, dropOldest = tonumber(time), tonumber(queueMessagesMax), tonumber(queueBytesMax), dropsOldest == '1'
local bodyPrefix = bodies
local at, number, out = 1, 0, {}
local notes, wakes = {}, {}
-- The number of the key that is being looked at, for whoever has to know where something went wrong.
local touching = 0
local function reason(failure) return tostring(type(failure) == 'table' and failure.err or failure) end

local function tell(kind, ...) out[#out + 1] = {number, kind, ...} end
-- What all sessions of this slot hold changes so much by this batch; added up once for each session (save), not at each message.
local moreSessions, moreMessages, moreBytes = 0, 0, 0
local function count(bySessions, byMessages, byBytes)
  moreSessions, moreMessages, moreBytes = moreSessions + bySessions, moreMessages + byMessages, moreBytes + byBytes
end
local function text(value) return string.format('%.0f', value) end
${recordFunctions}${queueFunctions}${ownerFunction}${endingFunctions}
local operations = {}
${all.map(({ code, lua }) => `operations[${code}] = function()${lua}end`).join('\n')}

local size = #ops
while at <= size do
  local code, stop
  number = number + 1
  code, stop, at = unpack('>BI4', ops, at)
  stop = at + stop
  touching = 0
  local ok, failure = pcall(operations[code])
  if not ok then tell('error', reason(failure), KEYS[touching] or '') end
  at = stop
end
-- From here on all has been done, and must not be done again: what goes wrong is said, and no more.
number = 0
local function safely(key, run, ...)
  local ok, failure = pcall(run, ...)
  if not ok then tell('trouble', reason(failure), key) end
end
for session, record in pairs(records) do
  if additions[session] then flush(session) end
  if record then safely(KEYS[session], save, session, record) end
end
if moreSessions ~= 0 then safely(totals, call, 'HINCRBY', totals, '${totalField.sessions}', text(moreSessions)) end
if moreMessages ~= 0 then safely(totals, call, 'HINCRBY', totals, '${totalField.messages}', text(moreMessages)) end
if moreBytes ~= 0 then safely(totals, call, 'HINCRBY', totals, '${totalField.bytes}', text(moreBytes)) end
if #notes > 0 then
  local said = cjson.encode(notes)
  if noting == 'here' then safely(log, call, 'XADD', log, 'MAXLEN', '~', ${logEntries}, '*', '${logField.version}', busVersion, '${logField.node}', node, '${logField.kind}', 's', '${logField.said}', said) else tell('notes', said) end
end
for to, woken in pairs(wakes) do
  local list = {}
  for key in pairs(woken) do list[#list + 1] = key end
  local said = cjson.encode(list)
  if noting == 'here' then safely(channels .. to, call, 'PUBLISH', channels .. to, string.char(${frameKind.wake}, tonumber(busVersion)) .. said) else tell('wake', to, said) end
end
call('HSET', lastBatch, 's', sequence, 'r', cmsgpack.pack(out))
return out
`,
)

if (new Set(all.map(({ code }) => code)).size !== Object.keys(Code).length) throw new Error('an operation of the batch script is missing')
