import type { OptionsOf } from '../../core/config/options.ts'
import { OperatorError } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'
import type { Clock } from '../../core/time/clock.ts'
import { Bodies } from './bodies.ts'
import { Database } from './database.ts'
import { FolderLock } from './folder-lock.ts'
import { GroupCommit, type GroupCommitEvents } from './group-commit.ts'
import { singleKey } from './keys.ts'
import { Numbers } from './numbers.ts'
import type { diskOptions } from './options.ts'
import { DiskRetained } from './retained.ts'
import { DiskSessions } from './sessions.ts'

const formatKey = singleKey(0)
const format = 'mqttx-broker 1'

/** Both services on one folder. */
export class DiskStore {
  readonly #options: OptionsOf<typeof diskOptions>
  readonly #log: Log
  #lock: FolderLock | null
  #database: Database | null
  #commit: GroupCommit | null
  readonly sessions: DiskSessions
  readonly retained: DiskRetained

  constructor(options: OptionsOf<typeof diskOptions>, clock: Clock, log: Log) {
    this.#options = options
    this.#log = log
    this.#lock = null
    this.#database = null
    this.#commit = null
    this.sessions = new DiskSessions(clock)
    this.retained = new DiskRetained(clock)
  }

  /** Opens the folder, for this broker alone, and takes up what is in it. */
  async open(): Promise<void> {
    const { path } = this.#options
    try {
      await this.#open(path)
    } catch (error) {
      await this.close().catch(() => {})
      throw unusable(path, error)
    }
  }

  async #open(folder: string): Promise<void> {
    this.#lock = await FolderLock.take(folder)
    const torn = Database.prepare(folder)
    if (torn !== null) this.#log.warn(`disk: ${torn}`)
    const database = await Database.open(folder)
    this.#database = database
    const commit = new GroupCommit(database, this.#options, told(this.#log, this.#options.path))
    this.#checkFormat(database, commit)
    const numbers = new Numbers(database, commit)
    const rows = { database, commit, numbers, bodies: new Bodies(database, commit), log: this.#log }
    this.sessions.attach(rows)
    this.retained.attach(rows)
    this.#commit = commit
    await commit.kept()
  }

  /** Writes what is left and gives the folder back. */
  async close(): Promise<void> {
    const commit = this.#commit
    this.#commit = null
    try {
      if (commit !== null) {
        this.sessions.detach()
        await commit.close()
      }
    } finally {
      await this.#database?.close()
      this.#database = null
      await this.#lock?.release()
      this.#lock = null
    }
  }

  #checkFormat(database: Database, commit: GroupCommit): void {
    const found = database.get(formatKey)?.toString()
    if (found === format) return
    if (found !== undefined || database.first() !== undefined) {
      const what = found?.startsWith('mqttx-broker') ? `was written by another version (${found})` : "holds another program's database"
      throw new OperatorError('ERR_DISK_FOREIGN', `disk.path: ${this.#options.path} ${what}; name another folder`)
    }
    commit.put(formatKey, Buffer.from(format))
  }
}

// Whatever stands in the way of opening, in one line with its cure.
function unusable(path: string, error: unknown): Error {
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
  return new OperatorError('ERR_DISK_UNUSABLE', `disk.path: ${path} ${cure}`, { cause: error })
}

function told(log: Log, path: string): GroupCommitEvents {
  return {
    failing(error, full) {
      const meanwhile = 'acknowledgements are withheld and the writes repeated until it is'
      if (full) log.error({ err: error }, `disk: ${path} is full; free some space: ${meanwhile}`)
      else log.error({ err: error }, `disk: ${path} takes no writes (${error.message}); see that it can be written: ${meanwhile}`)
    },
    low: free => log.warn({ free }, `disk: ${path} is nearly full (disk.reserve); free some space: no new message is taken until it is`),
    recovered: () => log.info(`disk: ${path} takes writes again; what was withheld is kept`),
  }
}
