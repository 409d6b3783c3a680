import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { OperatorError } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'
import type { Clock, Timer } from '../../core/time/clock.ts'
import { cutText } from '../kit/cut-text.ts'
import type { OpenRowStore, RowStore, RowStores } from '../kit/services/row-store.ts'
import { StoredFormatError } from '../kit/stored-message.ts'
import { addSums, formatKey, hasSums, sumsKey } from './add-sums.ts'
import { CheckedRows } from './checked-rows.ts'
import type { DamagedRows } from './damaged-rows.ts'
import { damagedFolder, goneCode, isDamage } from './disk-errors.ts'
import { FolderTime } from './folder-time.ts'
import { format } from './format.ts'
import { GroupCommit, type GroupCommitEvents } from './group-commit.ts'

// How often it is looked whether the folder is still there.
const lookMs = 2000

export interface FolderOptions {
  /** The plugin that it belongs to, for messages. */
  readonly plugin: string
  readonly path: string
  /** What stands in the database, before the version of its format, to say whose it is. */
  readonly kind: string
  readonly pendingBytesMax: number
  readonly reserve: number
}

/** A folder with a database in it, open for this broker alone. */
export class Folder {
  readonly #open: OpenRowStore
  readonly #options: FolderOptions
  readonly #damage: DamagedRows
  readonly database: CheckedRows
  readonly commit: GroupCommit
  readonly time: FolderTime
  readonly #timer: Timer

  private constructor(
    open: OpenRowStore,
    options: FolderOptions,
    damage: DamagedRows,
    database: CheckedRows,
    commit: GroupCommit,
    time: FolderTime,
    clock: Clock,
  ) {
    this.#open = open
    this.#options = options
    this.#damage = damage
    this.database = database
    this.commit = commit
    this.time = time
    // Nobody may write for long: then this finds out.
    this.#timer = clock.every(lookMs, () => {
      if (!open.rows.isThere()) void commit.kept()
    })
  }

  /** Sees, without opening anything, whether a folder could be used; what stands in the way is an `OperatorError` with its cure. */
  static verify({ plugin, path }: Pick<FolderOptions, 'plugin' | 'path'>, stores: RowStores): void {
    try {
      stores.verify(path)
    } catch (error) {
      throw unusable(plugin, path, error)
    }
  }

  /** Opens it, made where there is none; what stands in the way is an `OperatorError` with its cure. `damage`: who is told of rows that are not as they were written. */
  static async open(stores: RowStores, options: FolderOptions, damage: DamagedRows, log: Log, clock: Clock): Promise<Folder> {
    const { plugin, path } = options
    let opened: OpenRowStore | undefined
    try {
      opened = await stores.open(path, `${plugin}.path`)
      if (opened.recovered !== null) log.warn(`${plugin}: ${opened.recovered}`)
      const database = new CheckedRows(opened.rows, formatKey, damage)
      const commit = new GroupCommit(database, options, commitEvents(log, plugin, path), clock)
      await takeUp(opened.rows, commit, options, log)
      const time = new FolderTime(database, commit, clock)
      if (time.unknown) {
        log.warn(
          `${plugin}: the wall clock does not tell how long the broker was away (no real-time clock?), so nothing in ${path} expires for that time`,
        )
      }
      return new Folder(opened, options, damage, database, commit, time, clock)
    } catch (error) {
      await opened?.close().catch(() => {})
      throw unusable(plugin, path, error)
    }
  }

  /**
   * Takes up what is in the folder, and waits until what `read` writes is kept. A row that a newer version has written is an `OperatorError`, and the
   * folder is given back.
   */
  async read(read: () => void): Promise<void> {
    try {
      read()
      await this.commit.kept()
    } catch (error) {
      await this.close().catch(() => {})
      const { plugin, path } = this.#options
      if (error instanceof StoredFormatError) throw newer(plugin, path, `cannot be read: ${error.message}`)
      throw isDamage(error as Error) ? damagedFolder(plugin, path, `cannot be read (${(error as Error).message})`) : error
    }
  }

  /** Copies what the last commit has left to a folder that it makes, while commits go on. */
  async copyTo(folder: string): Promise<void> {
    const { rows } = this.#open
    if (rows.copyTo === undefined) throw this.#cannot('no backup can be made')
    await rows.copyTo(folder)
  }

  /** Gives what is free in it back to the file system; nothing is kept meanwhile. */
  async compact(): Promise<{ readonly beforeBytes: number; readonly afterBytes: number }> {
    const { rows } = this.#open
    const { compact } = rows
    if (compact === undefined) throw this.#cannot('nothing is to be compacted')
    return await this.commit.hold(() => compact.call(rows))
  }

  #cannot(what: string): OperatorError {
    return new OperatorError(
      'ERR_DISK_COPY',
      `${this.#options.plugin}: ${what} of ${this.#options.path}, which another plugin keeps (service rowStores)`,
    )
  }

  /** Writes what is left and gives the folder back. */
  async close(): Promise<void> {
    this.#timer.cancel()
    this.time.stop()
    this.#damage.stop()
    try {
      await this.commit.close()
    } finally {
      await this.#open.close()
    }
  }
}

// An older folder is this version's from now on; what its rows say stays as it is until it changes.
async function takeUp(rows: RowStore, commit: GroupCommit, { plugin, path, kind }: FolderOptions, log: Log): Promise<void> {
  const said = rows.get(formatKey)?.toString()
  const [, foundKind, version] = /^(mqttx-broker.*) (\d+)$/.exec(said ?? '') ?? []
  const found = Number(version)
  if (said === undefined && rows.first() === undefined) {
    commit.put(formatKey, Buffer.from(`${kind} ${format}`))
    commit.put(sumsKey, hasSums)
    return
  }
  if (foundKind !== kind) {
    if (rows.get(sumsKey) !== undefined) throw damagedFolder(plugin, path, `does not say its format (${cutText(said ?? 'nothing')})`)
    const what = foundKind === undefined ? "holds another program's database" : `holds what another plugin keeps (${said})`
    throw new OperatorError('ERR_DISK_FOREIGN', `${plugin}.path: ${path} ${what}; name another folder`)
  }
  if (found > format) throw newer(plugin, path, `was written by a newer version (format ${found}, this one knows ${format})`)
  await addSums(rows, commit, { plugin, path, text: `${kind} ${format}`, found }, log)
}

/** A folder that only a newer version can read; `why`: a clause that says what is in the way. */
function newer(plugin: string, path: string, why: string): OperatorError {
  return new OperatorError('ERR_DISK_NEWER', `${plugin}.path: ${path} ${why}; start the newer version again, or name another folder`)
}

// Whatever stands in the way of opening, in one line with its cure.
function unusable(plugin: string, path: string, error: unknown): Error {
  if (error instanceof OperatorError) return error
  if (error instanceof StoredFormatError) return newer(plugin, path, `cannot be read: ${error.message}`)
  if (isDamage(error as Error)) return damagedFolder(plugin, path, `cannot be read (${(error as Error).message})`)
  return new OperatorError('ERR_DISK_UNUSABLE', `${plugin}.path: ${whyUnusable(path, error as NodeJS.ErrnoException)}`, { cause: error })
}

// It names what is in the way, which is the folder above where this one is yet to be made.
function whyUnusable(path: string, { code, message, path: at = path }: NodeJS.ErrnoException): string {
  const isThere = existsSync(path)
  const what = isThere
    ? path
    : `${path} is not there, or not for this user to see, and cannot be made: ${existsSync(at) ? at : dirname(path)}`
  const another = 'or name another folder; under systemd StateDirectory= makes one'
  switch (code) {
    case 'EACCES':
    case 'EPERM':
      return `${what} may not be read and written by this user${userText()}; give it to that user (chown -R), ${another}`
    case 'EROFS':
      return `${what} is read-only here (its disk is mounted so, or a unit's ProtectSystem= or a container has it so); let it be written to, ${another}`
    case 'ENOTDIR':
    case 'EEXIST':
      return `${path} is not a folder; name another`
    case 'ENOSPC':
      return `${path} is on a disk that is full; free some space`
    default:
      return `${path} cannot be opened (${message}); name another folder, or move its data.mdb away to begin anew`
  }
}

// In a container names of users say nothing.
function userText(): string {
  const id = process.geteuid?.()
  return id === undefined ? '' : ` (uid ${id})`
}

function commitEvents(log: Log, plugin: string, path: string): GroupCommitEvents {
  return {
    failing(error, full, { name, cure }) {
      const what = name === goneCode ? 'was removed or replaced under the running broker' : `takes no writes (${error.message})`
      const meanwhile = 'acknowledgements are withheld and the writes repeated until it takes them'
      log.error({ err: error, code: name }, `${plugin}: ${path} ${full ? 'is full' : what}; ${cure}: ${meanwhile}`)
    },
    low: free =>
      log.warn({ free }, `${plugin}: ${path} is nearly full (${plugin}.reserve); free some space: no new message is taken until it is`),
    recovered: () => log.info(`${plugin}: ${path} takes writes again; what was withheld is kept`),
  }
}
