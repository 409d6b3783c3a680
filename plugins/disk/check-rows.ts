import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { formatKey, sumsKey } from './add-sums.ts'
import { type FolderReader, openToRead } from './database.ts'
import { namedError } from './disk-errors.ts'
import { format } from './format.ts'
import { Kind, numberKey } from './keys.ts'
import { tornCommit } from './meta-pages.ts'
import { decodeSession } from './records.ts'
import { type NamedRow, nameQueueRow, nameStoreRow } from './row-names.ts'
import { checkedValue } from './row-sums.ts'

/** A row that is not as it was written. */
export interface DamagedRow {
  /** What it is, and whose as far as that is known. */
  readonly text: string
  /** Its key, in hexadecimal digits. */
  readonly key: string
}

/** What was found in a folder. */
export interface CheckedFolder {
  /** Rows that were read. */
  readonly rows: number
  /** Bytes of their keys and values. */
  readonly bytes: number
  /** Rows that have no checksum yet: an older version has written the folder. */
  readonly unsummed: number
  readonly damaged: number
  /** What ended the reading; null: nothing. */
  readonly problem: string | null
}

// Read in one go: what a broker gives up meanwhile can be used again behind it.
const pageRows = 1000
const end = Buffer.from([0xff])

/** Reads all rows of a folder, whose broker may be running. `damaged`: told of each row whose checksum is wrong. */
export async function checkRows(path: string, plugin: 'disk' | 'diskQueue', damaged: (row: DamagedRow) => void): Promise<CheckedFolder> {
  const found = { rows: 0, bytes: 0, unsummed: 0, damaged: 0, problem: null as string | null }
  const file = join(path, 'data.mdb')
  if (!existsSync(file)) return { ...found, problem: 'data.mdb is missing; put back a backup' }
  const torn = tornCommit(file)
  if (torn !== null) return { ...found, problem: torn }
  const rows = openToRead(path)
  if (rows === null) return { ...found, problem: 'is being compacted; check again, or start its broker where none runs' }
  try {
    const sumsUpTo = summedUpTo(rows)
    if (sumsUpTo?.length === 0 && rows.get(formatKey)?.toString().endsWith(` ${format}`) === true)
      found.problem = 'does not say which of its rows have checksums; put back a backup'
    for (let at = Buffer.alloc(0), read = pageRows; read === pageRows; ) {
      read = 0
      for (const { key, value } of rows.range(at, end, pageRows)) {
        read += 1
        at = Buffer.concat([key, Buffer.from([0])])
        found.rows += 1
        found.bytes += key.length + value.length
        if (key.equals(formatKey)) continue
        if (sumsUpTo !== null && !key.equals(sumsKey) && key.compare(sumsUpTo) >= 0) found.unsummed += 1
        else if (checkedValue(key, value) === null) {
          found.damaged += 1
          damaged({ text: textOf(rows, plugin === 'disk' ? nameStoreRow(key) : nameQueueRow(key)), key: key.toString('hex') })
        }
      }
    }
  } catch (error) {
    found.problem = `cannot be read to its end: ${namedError(error as Error).message}; put back a backup`
  } finally {
    await rows.close()
  }
  return found
}

/** The key from which on rows have no checksums; null: all have. */
function summedUpTo(rows: FolderReader): Buffer | null {
  const stored = rows.get(sumsKey)
  if (stored === undefined) return Buffer.alloc(0)
  const state = checkedValue(sumsKey, stored)
  return state === null || state[0] === 1 ? null : state.subarray(1)
}

function textOf(rows: FolderReader, { text, session }: NamedRow): string {
  if (session === null) return text
  const key = numberKey(Kind.Session, session)
  const stored = rows.get(key)
  const value = stored === undefined ? null : checkedValue(key, stored)
  return value === null ? text : `${text} (client ${decodeSession(value).clientId})`
}
