import type { Log } from '../../core/log.ts'
import type { RowStore } from '../kit/services/row-store.ts'
import { damagedFolder } from './disk-errors.ts'
import { format } from './format.ts'
import type { GroupCommit } from './group-commit.ts'
import { singleKey } from './keys.ts'
import { checkedValue } from './row-sums.ts'

/** Says the format of a folder, in words that every version can read. */
export const formatKey = singleKey(0)
/** Says up to which key rows have checksums: behind a zero the key, or a one alone where all have. */
export const sumsKey = singleKey(6)
/** What stands there where all rows have checksums. */
export const hasSums = Buffer.from([1])

const end = Buffer.from([0xff])
// One commit of those by which an older folder gets its checksums.
const rowsMax = 16_384
const bytesMax = 4 * 1024 * 1024

/** A folder of an older version, or one that was being taken up when its broker died. */
interface OlderFolder {
  readonly plugin: string
  readonly path: string
  /** What is to stand under `formatKey`. */
  readonly text: string
  /** The format that the folder says. */
  readonly found: number
}

/**
 * Gives the rows of an older folder their checksums, before anything else is done with them. Each commit says how far it has come, so a broker that is killed meanwhile goes on there;
 * and what has no checksum behind that is damaged, whatever it looks like.
 */
export async function addSums(rows: RowStore, commit: GroupCommit, { plugin, path, text, found }: OlderFolder, log: Log): Promise<void> {
  const stored = rows.get(sumsKey)
  const state = stored === undefined ? undefined : checkedValue(sumsKey, stored)
  if (state === null || (state === undefined) !== found < format)
    throw damagedFolder(plugin, path, 'does not say which of its rows have checksums')
  if (state !== undefined && state[0] === 1) return
  log.info(
    `${plugin}: ${path} is taken up from format ${found < format ? found : format - 1} to ${format}: its rows get checksums; versions before this one cannot open it any more`,
  )
  let at: Buffer | null = state?.subarray(1) ?? Buffer.alloc(0)
  let count = 0
  while (at !== null) {
    const { keys, values, next } = part(rows, at)
    commit.put(formatKey, Buffer.from(text))
    // The commit adds the checksums.
    for (let i = 0; i < keys.length; i++) commit.put(keys[i]!, values[i]!)
    commit.put(sumsKey, next === null ? hasSums : Buffer.concat([Buffer.from([0]), next]))
    await commit.kept()
    count += keys.length
    at = next
  }
  log.info(`${plugin}: ${path}: ${count} rows have checksums now`)
}

/** Rows from a key on, and where it goes on behind them; null: nowhere. */
function part(rows: RowStore, from: Buffer): { readonly keys: Buffer[]; readonly values: Buffer[]; readonly next: Buffer | null } {
  const keys: Buffer[] = []
  const values: Buffer[] = []
  let bytes = 0
  for (const { key, value } of rows.range(from, end)) {
    if (key.equals(formatKey) || key.equals(sumsKey)) continue
    if (keys.length === rowsMax || bytes > bytesMax) return { keys, values, next: Buffer.from(key) }
    keys.push(Buffer.from(key))
    values.push(Buffer.from(value))
    bytes += value.length
  }
  return { keys, values, next: null }
}
