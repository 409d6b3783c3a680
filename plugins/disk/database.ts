import {
  type BigIntStats,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { RootDatabase } from 'lmdb'
import { OperatorError } from '../../core/errors.ts'
import type { Row, RowReader, RowStore } from '../kit/services/row-store.ts'
import { goneCode, namedError } from './disk-errors.ts'
import { keepFile, keepFolder } from './keep-files.ts'
import { recoverTornCommit } from './meta-pages.ts'
import { type PageCounts, Preallocation } from './preallocation.ts'

// Required, not imported: lmdb looks for its binary by its package.json, which hooks on imports (jiti, some test runners) hand to it in another form.
const { open } = createRequire(import.meta.url)('lmdb') as typeof import('lmdb')

const dataFile = 'data.mdb'
const lockFile = 'lock.mdb'
// A copy on its way to take the place of the file. What a broker that was killed has left of one is no loss.
const compacting = 'compacting-'
let compactions = 0

/**
 * One ordered map on disk: LMDB, of which only what is here is used. Why LMDB and not LevelDB (measured on 2 cores, Node 20.20, ext4; batches
 * of 1000 messages, each a put of 100 bytes, a put of 12, and two removals, every batch synced):
 *
 * |                                       | lmdb 3.5                      | classic-level 3.0 |
 * |---------------------------------------|-------------------------------|-------------------|
 * | messages kept per second              | 369,000                       | 34,000            |
 * | CPU per message, of it on Node's loop | 3.2 µs, 1.2 µs                | 25 µs, 24 µs      |
 * | synced batches of one message a second| 2,920                         | 2,490             |
 * | reading                               | in the call, from mapped pages| a thread pool away|
 * | several processes on one folder       | yes                           | no                |
 *
 * A queue is written at its end and emptied at its front, which leaves LevelDB's readers to step over what was removed. And LMDB has no log
 * to replay: what a commit wrote is there, what one that was cut short wrote is not looked at.
 */
export class Database implements RowStore {
  #root: RootDatabase<Buffer, Buffer>
  readonly #path: string
  #preallocation: Preallocation
  // The file that is open.
  #file: BigIntStats

  private constructor(root: RootDatabase<Buffer, Buffer>, path: string, preallocation: Preallocation) {
    this.#root = root
    this.#path = path
    this.#preallocation = preallocation
    this.#file = statSync(join(path, dataFile), { bigint: true })
  }

  /** Makes the folder's files, or looks whether they are whole; returns what was not, for the log. */
  static prepare(path: string): string | null {
    mkdirSync(path, { recursive: true, mode: 0o700 })
    for (const name of readdirSync(path)) if (name.startsWith(compacting)) rmSync(join(path, name), { recursive: true, force: true })
    // LMDB makes its files readable by all; those that are there it takes as they are.
    for (const file of [dataFile, lockFile]) closeSync(openSync(join(path, file), 'a', 0o600))
    return recoverTornCommit(join(path, dataFile))
  }

  /** Opens a folder that was prepared. */
  static async open(path: string): Promise<Database> {
    return new Database(openRoot(path), path, await Preallocation.open(join(path, dataFile)))
  }

  get(key: Buffer): Buffer | undefined {
    return this.#root.get(key)
  }

  /** The first row of all; `undefined` where there is none. */
  first(): Row | undefined {
    for (const row of this.#root.getRange({ limit: 1 })) return row
    return undefined
  }

  has(key: Buffer): boolean {
    return this.#root.doesExist(key)
  }

  /** Rows from `start` up to but without `end`, in order. Read it out in the same call: it shows the moment of its beginning. */
  range(start: Buffer, end: Buffer, limit = Number.POSITIVE_INFINITY): Iterable<Row> {
    return this.#root.getRange(Number.isFinite(limit) ? { start, end, limit } : { start, end })
  }

  /** The keys of these rows alone. */
  keys(start: Buffer, end: Buffer, limit: number): Iterable<Buffer> {
    return this.#root.getKeys({ start, end, limit })
  }

  /** Makes all of it true in one transaction and resolves when it is synced; `null` removes. Nothing may change a key or a value meanwhile. */
  async commit(keys: readonly Buffer[], values: readonly (Buffer | null)[], bytes: number): Promise<void> {
    const root = this.#root
    this.#checkThere()
    await this.#preallocation.reserve(values, bytes, root.getStats() as PageCounts)
    try {
      await root.batch(() => {
        for (let i = 0; i < keys.length; i++) {
          const value = values[i]!
          if (value === null) root.remove(keys[i]!)
          else root.put(keys[i]!, value)
        }
      })
    } catch (error) {
      throw await commitError(error)
    }
    // What went to a file that nobody can find any more is not kept: 2 µs a batch.
    this.#checkThere()
    // What is read from now on shows it.
    root.resetReadTxn()
  }

  /** The file is still where it was opened. */
  isThere(): boolean {
    try {
      const found = statSync(join(this.#path, dataFile), { bigint: true, throwIfNoEntry: false })
      return found !== undefined && found.ino === this.#file.ino && found.dev === this.#file.dev
    } catch {
      // It may be there: whoever writes to it will say.
      return true
    }
  }

  #checkThere(): void {
    if (this.isThere()) return
    throw Object.assign(new Error(`${join(this.#path, dataFile)} was removed or replaced`), { code: goneCode })
  }

  /** Bytes on the disk that are free for us, those of our own file that nothing stands in included, all of the disk, and those that rows take. */
  space(): { readonly free: number; readonly size: number; readonly used: number } {
    const { bavail, blocks, bsize } = this.#disk()
    const { pageSize, lastPageNumber, treeBranchPageCount, treeLeafPageCount, overflowPages } = this.#counts()
    const unused = lastPageNumber + 1 - treeBranchPageCount - treeLeafPageCount - overflowPages
    return { free: bavail * bsize + unused * pageSize, size: blocks * bsize, used: (lastPageNumber + 1 - unused) * pageSize }
  }

  #disk(): { readonly bavail: number; readonly blocks: number; readonly bsize: number } {
    try {
      return statfsSync(this.#path)
    } catch {
      // The folder is gone, which is said elsewhere.
      return { bavail: 0, blocks: 0, bsize: 0 }
    }
  }

  copyTo(path: string): Promise<void> {
    return copyOf(this.#root, path)
  }

  async compact(): Promise<{ readonly beforeBytes: number; readonly afterBytes: number }> {
    const before = statSync(join(this.#path, dataFile)).size
    const { pageSize, treeBranchPageCount, treeLeafPageCount, overflowPages } = this.#counts()
    const needed = (treeBranchPageCount + treeLeafPageCount + overflowPages) * pageSize
    const { bavail, bsize } = this.#disk()
    if (bavail * bsize < needed)
      throw new OperatorError(
        'ERR_DISK_COPY',
        `${this.#path} has no room for the copy that takes the file's place: ${needed} bytes are needed, ${bavail * bsize} are free`,
      )
    compactions += 1
    const folder = join(this.#path, `${compacting}${process.pid}-${compactions}`)
    try {
      await this.copyTo(folder)
      await this.#take(folder)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
    return { beforeBytes: before, afterBytes: statSync(join(this.#path, dataFile)).size }
  }

  // The copy is open before it takes the file's place, so there is no moment without one; whoever is killed finds the one or the other, whole.
  async #take(folder: string): Promise<void> {
    // With a list of readers in the folder, which says for a moment that the copy is on its way to its place (isBetween).
    const root = openRoot(folder)
    const preallocation = await Preallocation.open(join(folder, dataFile))
    const [oldRoot, oldPreallocation] = [this.#root, this.#preallocation]
    renameSync(join(folder, dataFile), join(this.#path, dataFile))
    renameSync(join(folder, lockFile), join(this.#path, lockFile))
    this.#root = root
    this.#preallocation = preallocation
    this.#file = statSync(join(this.#path, dataFile), { bigint: true })
    await keepFolder(this.#path)
    await oldRoot.close()
    await oldPreallocation.close()
  }

  #counts(): PageCounts & { readonly overflowPages: number } {
    return this.#root.getStats() as PageCounts & { readonly overflowPages: number }
  }

  async close(): Promise<void> {
    await this.#root.close()
    await this.#preallocation.close()
  }
}

/** What reads a folder that a broker may have. */
export type FolderReader = RowReader & Pick<RowStore, 'range'>

/**
 * Rows of a folder for somebody who only reads them: nothing is made or repaired, and a broker may have the folder. Null while a compaction puts its copy in the place of the file, which takes two
 * steps: whoever opened the file between them would be in no list of readers, so that pages which it reads could be used again.
 */
export function openToRead(path: string): FolderReader | null {
  let opened = openPair(path)
  if (opened === null) return null
  // What a compaction has replaced shows nothing that was committed since.
  const root = (): RootDatabase<Buffer, Buffer> => {
    if (opened!.file !== fileAt(path)) {
      const next = openPair(path)
      if (next !== null) {
        void opened!.root.close().catch(() => {})
        opened = next
      }
    }
    opened!.root.resetReadTxn()
    return opened!.root
  }
  return {
    get: key => opened!.root.get(key),
    has: key => opened!.root.doesExist(key),
    keys: (start, end, limit) => opened!.root.getKeys({ start, end, limit }),
    // What was read before is not held: else nothing that a broker gives up meanwhile could be used again.
    range: (start, end, limit) => root().getRange(limit === undefined ? { start, end } : { start, end, limit }),
    refresh: () => void root(),
    copyTo: folder => copyOf(root(), folder),
    close: () => opened!.root.close(),
  }
}

// Which file it is; null: none is there.
function fileAt(path: string): string | null {
  const found = statSync(join(path, dataFile), { bigint: true, throwIfNoEntry: false })
  return found === undefined ? null : `${found.dev} ${found.ino}`
}

// The list of readers is replaced after the file: where the file is the same before and after, so is the list.
function openPair(path: string): { readonly root: RootDatabase<Buffer, Buffer>; readonly file: string } | null {
  const file = fileAt(path)
  if (file === null || isBetween(path)) return null
  const root = openRoot(path, true)
  if (fileAt(path) === file) return { root, file }
  void root.close().catch(() => {})
  return null
}

// The file of a compaction is in its place, and its list of readers is not yet.
function isBetween(path: string): boolean {
  return readdirSync(path).some(
    name => name.startsWith(compacting) && existsSync(join(path, name, lockFile)) && !existsSync(join(path, name, dataFile)),
  )
}

async function copyOf(root: RootDatabase<Buffer, Buffer>, folder: string): Promise<void> {
  mkdirSync(folder, { mode: 0o700 })
  try {
    // Without what is free in the file; the walk over all that is used finds a page that is damaged.
    await root.backup(folder, true)
  } catch (error) {
    throw namedError(error as Error)
  }
  await keepFile(join(folder, dataFile))
  await keepFolder(folder)
}

function openRoot(path: string, readOnly = false): RootDatabase<Buffer, Buffer> {
  return open<Buffer, Buffer>({
    path,
    readOnly,
    noSubdir: false,
    encoding: 'binary',
    keyEncoding: 'binary',
    // On by default on Linux: a commit would be answered before its flush. Acknowledged means kept.
    overlappingSync: false,
    // Batches are gathered here (group-commit.ts), and one is one transaction.
    eventTurnBatching: false,
    cache: false,
    // Address space only: a map that has to grow stops all readers for a moment.
    mapSize: 2 ** 30,
    maxDbs: 1,
  })
}

// LMDB's own answer comes as a promise that rejects, and a moment later.
async function commitError(error: unknown): Promise<unknown> {
  const { commitError: cause } = error as { commitError?: Promise<unknown> }
  const late = new Promise<unknown>(resolve => setTimeout(resolve, 1000, error).unref())
  return Promise.race([cause ?? error, late]).catch((reason: unknown) => reason)
}
