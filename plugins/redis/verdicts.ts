/**
 * What an error of Redis or of its client means for whoever asked:
 *
 * - `away`: Redis cannot be reached, or cannot work at all. What was asked waits, and is asked again.
 * - `full`: Redis has no room. What would need some is refused (0x97); what makes some goes on.
 * - `refused`: a verdict on this one write, key or record, which Redis would give again. It is refused (0x83), counted and named; the others go on.
 * - `script`: the server does not know the script yet. It is sent whole, at once.
 * - `emptied`: the batch script did not find what this process wrote last. Nothing was done; what is gone is looked at first.
 * - `doubtful`: nobody has thought of it, or it may be either. Where it comes again and again for the same input while others pass, it is a refusal.
 */
export type Meaning = 'away' | 'full' | 'refused' | 'script' | 'emptied' | 'doubtful'

/** Why something was refused, as `mqttx_store_refused_total` counts it. */
export type RefusalReason = 'wrongType' | 'noPermission' | 'crossSlot' | 'tooLarge' | 'full' | 'damaged' | 'other'

export interface Verdict {
  readonly meaning: Meaning
  readonly reason: RefusalReason
  /** What an operator can do, as the end of a sentence. */
  readonly cure: string
  /** How often the same input may fail so, others passing in between, before it is refused. */
  readonly tries: number
}

const look = 'look at what another program keeps under that key'
const rights = 'give the user the rights that docs/redis-keys.md lists'
const large = "a smaller message (limits, mqtt.maximumPacketSize), or a larger proto-max-bulk-len in Redis' config"

type Row = readonly [text: RegExp, meaning: Meaning, reason?: RefusalReason, cure?: string, tries?: number]

/**
 * The one table: the first row that fits decides. docs/guarantees.md shows it, and a test goes through each row. Replies are judged by the word that they begin with; what
 * ioredis says by itself, and what the operating system says of a connection, by its text.
 */
const table: readonly Row[] = [
  // The server, as a whole, cannot just now.
  [/^(LOADING|BUSY|MISCONF|MASTERDOWN|READONLY|NOREPLICAS|NOREPL|CLUSTERDOWN|UNBLOCKED|NOMASTERLINK|IOERR) /, 'away'],
  // This program may not in at all.
  [
    /^(NOAUTH|WRONGPASS|DENIED|NOPROTO) |^ERR (invalid password|AUTH |Client sent AUTH|max number of clients|DB index|invalid DB index|operation not permitted)/,
    'away',
  ],
  // Slots that move pass; one key that is sent to and fro for ever, because two programs disagree on its slot, does not.
  [/^(MOVED|ASK|TRYAGAIN) |Too many Cluster redirections/, 'doubtful', 'crossSlot', 'a bug; please report the line', 60],
  [/^OOM /, 'full', 'full', 'raise its maxmemory or make room'],
  [/^NOSCRIPT /, 'script'],
  [/^EMPTIED /, 'emptied'],
  // Verdicts.
  [/^WRONGTYPE /, 'refused', 'wrongType', look],
  [/^NOPERM |user executing the script can't/, 'refused', 'noPermission', rights],
  [/^CROSSSLOT |should belong to the same slot/, 'refused', 'crossSlot', 'a bug; please report the line'],
  [/^ERR Protocol error|exceeds maximum allowed size|^ERR_STRING_TOO_LONG|Cannot create a string longer/i, 'refused', 'tooLarge', large],
  [/^STALE /, 'refused', 'other', 'a bug; please report the line'],
  [
    /^(ERR|EXECABORT|NOGROUP|BUSYKEY|BUSYGROUP|UNKILLABLE|NOTBUSY|INPROG|WRONGKEY|NESTED|@user_script)\b/,
    'refused',
    'other',
    'see what Redis says, and its log',
  ],
  // The connection: what was under way may have been done.
  [
    /^(Command timed out|Connection is closed|the connection has broken|Stream isn't writeable|Command aborted|Failed to refresh slots|None of startup nodes|Cluster isn't ready|Cluster is ended|All sentinels|Reached the max retries|Socket closed|Ended)/,
    'away',
  ],
  [
    /ECONN|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EPIPE|EADDR|EMFILE|ENFILE|socket hang up|disconnected before secure TLS|certificate/i,
    'away',
  ],
  // What cannot be read as a reply; ioredis opens another connection.
  [/^Protocol error, got/, 'doubtful', 'other', 'see what stands between the broker and Redis', 5],
]

/** How often an input may be under way when a connection breaks, others passing in between, before the input itself is held to be the reason. */
export const brokenTries = 6

export function verdictOn(error: Error): Verdict {
  const { message } = error
  for (const [text, meaning, reason = 'other', cure = '', tries = meaning === 'refused' ? 2 : 1] of table) {
    if (text.test(message)) return { meaning, reason, cure, tries }
  }
  return { meaning: 'doubtful', reason: 'other', cure: 'see what Redis says, and its log', tries: 4 }
}

/** Redis has answered, and would answer the same again. */
export function isRefusal(error: Error): boolean {
  return verdictOn(error).meaning === 'refused'
}
