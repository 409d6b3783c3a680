import { closeSync, fstatSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs'
import { OperatorError } from '../../core/errors.ts'

// How LMDB's first two pages lie in the file (mdb.c, MDB_page and MDB_meta). Each commit writes one of them, last, and by turns: whatever
// becomes of a commit, the one before it is whole.
const magicAt = 24
const versionAt = 28
const pageSizeAt = 48
const lastPageAt = 144
const commitAt = 152
const metaBytes = 168
const magic = 0xbeefc0de
const version = 2
const pageSizes = [4096, 8192, 16_384, 32_768, 65_536]

interface MetaPage {
  readonly pageSize: number
  readonly commit: bigint
  /** Everything that it refers to is in the file. */
  readonly whole: boolean
}

/**
 * Looks whether the last commit of a database file is there as a whole, before LMDB trusts it: a power loss may have torn its page, or cut
 * the file. Then the commit before it is made the last again. Returns what was done, for the log; null where all is well.
 */
export function recoverTornCommit(file: string): string | null {
  const handle = openSync(file, 'r+')
  try {
    const { size } = fstatSync(handle)
    if (size === 0) return null
    const { pageSize, newer, older, isFirstNewer } = metaPages(handle, file, size)
    if (newer?.whole && older !== null) return null
    const [good, goodAt, badAt] = newer?.whole
      ? [newer, isFirstNewer ? 0 : pageSize, isFirstNewer ? pageSize : 0]
      : [older, isFirstNewer ? pageSize : 0, isFirstNewer ? 0 : pageSize]
    if (!good?.whole) throw damaged(file, 'has been cut short')
    const page = Buffer.alloc(metaBytes)
    readSync(handle, page, 0, metaBytes, goodAt)
    // Only which of the two it is tells them apart.
    page.writeUInt32LE(badAt === 0 ? 0 : 1, 0)
    writeSync(handle, page, 0, metaBytes, badAt)
    fsyncSync(handle)
    return `the last write to ${file} was torn; taken up at the one before it (commit ${good.commit})`
  } finally {
    closeSync(handle)
  }
}

/** Why LMDB must not be let read a file before a broker has repaired it; null: it may. */
export function tornCommit(file: string): string | null {
  const handle = openSync(file, 'r')
  try {
    const { size } = fstatSync(handle)
    if (size === 0) return null
    const { newer, older } = metaPages(handle, file, size)
    if (newer?.whole && older !== null) return null
    return older?.whole || newer?.whole
      ? 'the last write was torn; a broker that starts takes up the one before it'
      : 'the file has been cut short'
  } finally {
    closeSync(handle)
  }
}

interface MetaPages {
  readonly pageSize: number
  readonly newer: MetaPage | null
  readonly older: MetaPage | null
  readonly isFirstNewer: boolean
}

function metaPages(handle: number, file: string, size: number): MetaPages {
  const pageSize = pageSizes.find(candidate => [0, candidate].some(at => readMeta(handle, at, size)?.pageSize === candidate))
  if (pageSize === undefined) throw damaged(file, 'is no database of this broker, or damaged beyond repair')
  const [first, second] = [readMeta(handle, 0, size), readMeta(handle, pageSize, size)]
  const isFirstNewer = second === null || (first !== null && first.commit > second.commit)
  return { pageSize, newer: isFirstNewer ? first : second, older: isFirstNewer ? second : first, isFirstNewer }
}

function readMeta(handle: number, at: number, size: number): MetaPage | null {
  const page = Buffer.alloc(metaBytes)
  if (readSync(handle, page, 0, metaBytes, at) < metaBytes) return null
  if (page.readUInt32LE(magicAt) !== magic || page.readUInt32LE(versionAt) !== version) return null
  const pageSize = page.readUInt32LE(pageSizeAt)
  const pages = page.readBigUInt64LE(lastPageAt) + 1n
  return { pageSize, commit: page.readBigUInt64LE(commitAt), whole: pages * BigInt(pageSize) <= BigInt(size) }
}

function damaged(file: string, what: string): OperatorError {
  return new OperatorError(
    'ERR_DISK_DAMAGED',
    `disk.path: ${file} ${what}; put back a copy of it, name another folder, or move it away to begin anew`,
  )
}
