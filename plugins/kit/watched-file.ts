import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { OperatorError } from '../../core/errors.ts'
import type { Clock, Timer } from '../../core/time/clock.ts'
import { stampOf } from './file-stamp.ts'

export interface WatchedFileOptions {
  /** The option that names it, for messages: `authFile.path`. */
  readonly option: string
  /** As the option says; relative to `folder`. */
  readonly path: string
  readonly folder: string
  readonly clock: Clock
  /** Milliseconds between two looks at it; null: never. */
  readonly everyMs: number | null
  /** Takes what the file says, and throws where it is wrong. */
  take(text: string, path: string): void
  /** A changed file could not be taken, so that what it said before goes on. */
  failed(error: Error): void
}

/**
 * A text file that an option names: taken at start, and again whenever it has changed. It is looked at rather than listened to,
 * because a mounted secret changes by a link two folders away, which no watcher is told of.
 */
export class WatchedFile {
  readonly path: string
  readonly #options: WatchedFileOptions
  #timer: Timer | null
  #stamp: string
  #looking: boolean

  constructor(options: WatchedFileOptions) {
    this.path = resolve(options.folder, options.path)
    this.#options = options
    this.#timer = null
    this.#stamp = ''
    this.#looking = false
  }

  /** Takes it for the first time; what is wrong with it is the operator's to put right. */
  async start(): Promise<void> {
    await this.#take()
    const { everyMs, clock } = this.#options
    if (everyMs !== null) this.#timer = clock.every(everyMs, () => void this.look())
  }

  stop(): void {
    this.#timer?.cancel()
  }

  /** Looks whether it has changed. */
  async look(): Promise<void> {
    if (this.#looking) return
    this.#looking = true
    try {
      if ((await stampOf(this.path)) !== this.#stamp) await this.#take()
    } catch (error) {
      this.#options.failed(error as Error)
    } finally {
      this.#looking = false
    }
  }

  async #take(): Promise<void> {
    // Before it is read: what is written meanwhile is seen at the next look. One that is wrong is complained of once.
    this.#stamp = await stampOf(this.path)
    let text: string
    try {
      text = await readFile(this.path, 'utf8')
    } catch (cause) {
      throw new OperatorError('ERR_FILE', `${this.#options.option}: ${whyUnreadable(this.path, cause as NodeJS.ErrnoException)}`, { cause })
    }
    this.#options.take(text, this.path)
  }
}

function whyUnreadable(path: string, { code, message }: NodeJS.ErrnoException): string {
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return `there is no file ${path}; make it, or correct the path`
    case 'EACCES':
    case 'EPERM':
      return `${path} may not be read by this user; give it to the broker's user: chown USER ${path}`
    case 'EISDIR':
      return `${path} is a folder; name a file in it`
    default:
      return `${path} cannot be read: ${message}; name a file that can be`
  }
}
