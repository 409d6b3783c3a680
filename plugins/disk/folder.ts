import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { OperatorError } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'
import { StoredFormatError } from '../../core/messages/stored-message.ts'
import type { Clock, Timer } from '../../core/time/clock.ts'
import type { OpenRowStore, RowStore, RowStores } from '../kit/services/row-store.ts'
import { goneCode } from './disk-errors.ts'
import { FolderTime } from './folder-time.ts'
import { format } from './format.ts'
import { GroupCommit, type GroupCommitEvents } from './group-commit.ts'
import { singleKey } from './keys.ts'

const formatKey = singleKey(0)
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
  readonly database: RowStore
  readonly commit: GroupCommit
  readonly time: FolderTime
  readonly #timer: Timer

  private constructor(open: OpenRowStore, options: FolderOptions, commit: GroupCommit, time: FolderTime, clock: Clock) {
    const database = open.rows
    this.#open = open
    this.#options = options
    this.database = database
    this.commit = commit
    this.time = time
    // Nobody may write for long: then this finds out.
    this.#timer = clock.every(lookMs, () => {
      if (!database.isThere()) void commit.kept()
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

  /** Opens it, made where there is none; what stands in the way is an `OperatorError` with its cure. */
  static async open(stores: RowStores, options: FolderOptions, log: Log, clock: Clock): Promise<Folder> {
    const { plugin, path } = options
    let opened: OpenRowStore | undefined
    try {
      opened = await stores.open(path, `${plugin}.path`)
      if (opened.recovered !== null) log.warn(`${plugin}: ${opened.recovered}`)
      const database = opened.rows
      const commit = new GroupCommit(database, options, commitEvents(log, plugin, path), clock)
      checkFormat(database, commit, options, log)
      const time = new FolderTime(database, commit, clock)
      if (time.unknown) {
        log.warn(
          `${plugin}: the wall clock does not tell how long the broker was away (no real-time clock?), so nothing in ${path} expires for that time`,
        )
      }
      return new Folder(opened, options, commit, time, clock)
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
      throw error instanceof StoredFormatError ? newer(plugin, path, `cannot be read: ${error.message}`) : error
    }
  }

  /** Copies what the last commit has left to a folder that it makes, while commits go on. */
  async copyTo(folder: string): Promise<void> {
    const { copyTo } = this.database
    if (copyTo === undefined) throw this.#cannot('no backup can be made')
    await copyTo.call(this.database, folder)
  }

  /** Gives what is free in it back to the file system; nothing is kept meanwhile. */
  async compact(): Promise<{ readonly beforeBytes: number; readonly afterBytes: number }> {
    const { compact } = this.database
    if (compact === undefined) throw this.#cannot('nothing is to be compacted')
    return await this.commit.hold(() => compact.call(this.database))
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
    try {
      await this.commit.close()
    } finally {
      await this.#open.close()
    }
  }
}

// An older folder is this version's from now on; its rows stay as they are until they change.
function checkFormat(database: RowStore, commit: GroupCommit, { plugin, path, kind }: FolderOptions, log: Log): void {
  const said = database.get(formatKey)?.toString()
  const [, foundKind, version] = /^(mqttx-broker.*) (\d+)$/.exec(said ?? '') ?? []
  const found = Number(version)
  if (foundKind === kind && found === format) return
  if (said !== undefined || database.first() !== undefined) {
    if (foundKind !== kind) {
      const what = foundKind === undefined ? "holds another program's database" : `holds what another plugin keeps (${said})`
      throw new OperatorError('ERR_DISK_FOREIGN', `${plugin}.path: ${path} ${what}; name another folder`)
    }
    if (found > format) throw newer(plugin, path, `was written by a newer version (format ${found}, this one knows ${format})`)
    log.info(`${plugin}: ${path} is taken up from format ${found} to ${format}; versions before this one cannot open it any more`)
  }
  commit.put(formatKey, Buffer.from(`${kind} ${format}`))
}

/** A folder that only a newer version can read; `why`: a clause that says what is in the way. */
function newer(plugin: string, path: string, why: string): OperatorError {
  return new OperatorError('ERR_DISK_NEWER', `${plugin}.path: ${path} ${why}; start the newer version again, or name another folder`)
}

// Whatever stands in the way of opening, in one line with its cure.
function unusable(plugin: string, path: string, error: unknown): Error {
  if (error instanceof OperatorError) return error
  if (error instanceof StoredFormatError) return newer(plugin, path, `cannot be read: ${error.message}`)
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
