import { OperatorError } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'
import { Database } from './database.ts'
import { FolderLock } from './folder-lock.ts'
import { GroupCommit, type GroupCommitEvents } from './group-commit.ts'
import { singleKey } from './keys.ts'

const formatKey = singleKey(0)

export interface FolderOptions {
  /** The plugin that it belongs to, for messages. */
  readonly plugin: string
  readonly path: string
  /** What stands in the database to say whose it is; another text is another version's. */
  readonly format: string
  readonly pendingBytesMax: number
  readonly reserve: number
}

/** A folder with a database in it, open for this broker alone. */
export class Folder {
  readonly #lock: FolderLock
  readonly database: Database
  readonly commit: GroupCommit

  private constructor(lock: FolderLock, database: Database, commit: GroupCommit) {
    this.#lock = lock
    this.database = database
    this.commit = commit
  }

  /** Opens it, made where there is none; what stands in the way is an `OperatorError` with its cure. */
  static async open(options: FolderOptions, log: Log): Promise<Folder> {
    const { plugin, path } = options
    let lock: FolderLock | undefined
    let database: Database | undefined
    try {
      lock = await FolderLock.take(path, `${plugin}.path`)
      const torn = Database.prepare(path)
      if (torn !== null) log.warn(`${plugin}: ${torn}`)
      database = await Database.open(path)
      const commit = new GroupCommit(database, options, told(log, plugin, path))
      checkFormat(database, commit, options)
      return new Folder(lock, database, commit)
    } catch (error) {
      await database?.close().catch(() => {})
      await lock?.release().catch(() => {})
      throw unusable(plugin, path, error)
    }
  }

  /** Writes what is left and gives the folder back. */
  async close(): Promise<void> {
    try {
      await this.commit.close()
    } finally {
      await this.database.close()
      await this.#lock.release()
    }
  }
}

function checkFormat(database: Database, commit: GroupCommit, { plugin, path, format }: FolderOptions): void {
  const found = database.get(formatKey)?.toString()
  if (found === format) return
  if (found !== undefined || database.first() !== undefined) {
    const what = !found?.startsWith('mqttx-broker')
      ? "holds another program's database"
      : kindOf(found) === kindOf(format)
        ? `was written by another version (${found})`
        : `holds what another plugin keeps (${found})`
    throw new OperatorError('ERR_DISK_FOREIGN', `${plugin}.path: ${path} ${what}; name another folder`)
  }
  commit.put(formatKey, Buffer.from(format))
}

/** A format without its version. */
const kindOf = (format: string): string => format.replace(/ ?\d+$/, '')

// Whatever stands in the way of opening, in one line with its cure.
function unusable(plugin: string, path: string, error: unknown): Error {
  if (error instanceof OperatorError) return error
  const { code, message } = error as NodeJS.ErrnoException
  const cures: Record<string, string> = {
    EACCES: 'may not be read and written by this user; change its owner, or name another folder',
    EPERM: 'may not be read and written by this user; change its owner, or name another folder',
    EROFS: 'is on a disk that is mounted read-only; name another folder',
    ENOTDIR: 'is not a folder; name another',
    EEXIST: 'is not a folder; name another',
    ENOSPC: 'is on a disk that is full; free some space',
  }
  const cure = cures[code ?? ''] ?? `cannot be opened (${message}); name another folder, or move its data.mdb away to begin anew`
  return new OperatorError('ERR_DISK_UNUSABLE', `${plugin}.path: ${path} ${cure}`, { cause: error })
}

function told(log: Log, plugin: string, path: string): GroupCommitEvents {
  return {
    failing(error, full) {
      const meanwhile = 'acknowledgements are withheld and the writes repeated until it is'
      if (full) log.error({ err: error }, `${plugin}: ${path} is full; free some space: ${meanwhile}`)
      else log.error({ err: error }, `${plugin}: ${path} takes no writes (${error.message}); see that it can be written: ${meanwhile}`)
    },
    low: free =>
      log.warn({ free }, `${plugin}: ${path} is nearly full (${plugin}.reserve); free some space: no new message is taken until it is`),
    recovered: () => log.info(`${plugin}: ${path} takes writes again; what was withheld is kept`),
  }
}
