import { constants } from 'node:os'
import type { ErrorCode } from '../../core/error-codes.ts'
import { OperatorError } from '../../core/errors.ts'

/** What an error of LMDB or of the file system means for all that waits to be written. */
export interface DiskVerdict {
  /** `full`: there is no room, so what takes some is refused. `outage`: nothing can be written just now. */
  readonly kind: 'full' | 'outage'
  /** The error's name: `ENOSPC`, `MDB_MAP_FULL`. */
  readonly name: string
  /** What an operator does about it: a clause. */
  readonly cure: string
}

/** The code of the error that says that the folder is not the one any more that was opened. */
export const goneCode = 'ERR_DISK_GONE' satisfies ErrorCode

// LMDB's own errors are numbers.
const lmdbNames: Readonly<Record<number, string>> = {
  [-30799]: 'MDB_KEYEXIST',
  [-30798]: 'MDB_NOTFOUND',
  [-30797]: 'MDB_PAGE_NOTFOUND',
  [-30796]: 'MDB_CORRUPTED',
  [-30795]: 'MDB_PANIC',
  [-30794]: 'MDB_VERSION_MISMATCH',
  [-30793]: 'MDB_INVALID',
  [-30792]: 'MDB_MAP_FULL',
  [-30791]: 'MDB_DBS_FULL',
  [-30790]: 'MDB_READERS_FULL',
  [-30788]: 'MDB_TXN_FULL',
  [-30787]: 'MDB_CURSOR_FULL',
  [-30786]: 'MDB_PAGE_FULL',
  [-30785]: 'MDB_MAP_RESIZED',
  [-30784]: 'MDB_INCOMPATIBLE',
  [-30783]: 'MDB_BAD_RSLOT',
  [-30782]: 'MDB_BAD_TXN',
  [-30781]: 'MDB_BAD_VALSIZE',
  [-30780]: 'MDB_BAD_DBI',
}

const systemNames = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]))

const full: Readonly<Record<string, string>> = {
  ENOSPC: 'free some space',
  EDQUOT: "free some space, or raise the quota of the broker's user",
  EFBIG: "free some space, or raise the limit on a file's size (ulimit -f)",
  MDB_MAP_FULL: 'free some space, or raise the limit on address space (ulimit -v)',
}

const outages: Readonly<Record<string, string>> = {
  EIO: 'look at the disk',
  EROFS: 'mount the disk for writing',
  EACCES: 'let its owner write to it',
  EPERM: 'let its owner write to it',
  MDB_CORRUPTED: 'stop the broker and put back a copy of the folder',
  MDB_PAGE_NOTFOUND: 'stop the broker and put back a copy of the folder',
  MDB_PANIC: 'start the broker anew',
  [goneCode]: 'put the folder back where it was, or start the broker anew, which begins with what is there',
}

/** The one place that decides it. An error that is not in docs/guarantees.md is an outage: what was to be written stays, and is tried again. */
export function diskVerdict(error: Error): DiskVerdict {
  const name = nameOf(error)
  if (full[name] !== undefined) return { kind: 'full', name, cure: full[name] }
  return { kind: 'outage', name, cure: outages[name] ?? 'see that it can be written' }
}

/** An error of LMDB's with its name in it: it has a number only. */
export function namedError(error: Error): Error {
  const name = nameOf(error)
  return error.message.includes(name) ? error : new Error(`${name}: ${error.message}`, { cause: error })
}

/** LMDB says of its own pages that they are not what it has written. */
export function isDamage(error: Error): boolean {
  return ['MDB_CORRUPTED', 'MDB_PAGE_NOTFOUND'].some(name => nameOf(error) === name || error.message.startsWith(name))
}

/** A folder that cannot be used as it is; `what`: a clause. */
export function damagedFolder(plugin: string, path: string, what: string): OperatorError {
  return new OperatorError(
    'ERR_DISK_DAMAGED',
    `${plugin}.path: ${path} ${what}; look at the disk, and put back a backup, name another folder, or move it away to begin anew`,
  )
}

function nameOf(error: Error): string {
  const { code, errno } = error as { code?: string | number; errno?: number }
  if (typeof code === 'number') return code < 0 ? (lmdbNames[code] ?? String(code)) : (systemNames.get(code) ?? String(code))
  // Node has no name for some, such as EDQUOT.
  return (errno === undefined ? undefined : systemNames.get(Math.abs(errno))) ?? code ?? error.name
}
