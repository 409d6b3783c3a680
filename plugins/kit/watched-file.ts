import { resolve } from 'node:path'
import { OperatorError } from '../../core/errors.ts'
import type { Clock } from '../../core/time/clock.ts'
import { FileWatch } from './file-watch.ts'
import { readNamed } from './named-file.ts'

/** Which file is watched, and who is told. */
export interface WatchedFileOptions {
  /** The option that names the file, for messages: `authFile.path`. */
  readonly option: string
  /** As the option says; relative to `folder`. */
  readonly path: string
  /** The folder that `path` is relative to. */
  readonly folder: string
  /** The time, which tests can move. */
  readonly clock: Clock
  /** Milliseconds between two looks at the file; null: never. */
  readonly everyMs: number | null
  /** Puts into force what the file says, and throws where it is wrong. */
  apply(text: string, path: string): void
  /** A changed file is empty, or could not be read or applied, so that what it said before goes on. Called once for each change. */
  failed(error: Error): void
}

/**
 * A text file that an option names: applied at start, and again whenever it has changed and two looks in a row have seen the same. One that has become empty
 * changes nothing: that is what a file looks like that is about to be written.
 */
export class WatchedFile {
  /** The absolute path of the file. */
  readonly path: string
  readonly #options: WatchedFileOptions
  readonly #watch: FileWatch
  #isRead: boolean

  constructor(options: WatchedFileOptions) {
    this.path = resolve(options.folder, options.path)
    this.#options = options
    this.#isRead = false
    this.#watch = new FileWatch(options.clock, () => this.reread(), true)
  }

  /** Applies the file for the first time; what is wrong with it is the operator's to put right. A plugin's `verify` asks for it. */
  async verify(): Promise<void> {
    await this.#read(false)
    this.#isRead = true
  }

  /** Begins to watch the file, which is applied first where `verify` has not done so. */
  async start(): Promise<void> {
    if (!this.#isRead) await this.verify()
    this.#watch.start(this.#options.everyMs)
  }

  /** Reads the file now, whether it looks changed or not, as SIGHUP asks; what is wrong goes to `failed`. */
  async reread(): Promise<void> {
    await this.#read(true).catch(error => this.#options.failed(error as Error))
  }

  /** Looks now whether the file has changed. */
  look(): Promise<void> {
    return this.#watch.look()
  }

  /** Watches the file no more. */
  stop(): void {
    this.#watch.stop()
  }

  async #read(again: boolean): Promise<void> {
    const { option, apply } = this.#options
    const file = await readNamed(option, this.path, 'ERR_FILE', 'make it, or correct the path')
    this.#watch.saw([file])
    const text = file.bytes.toString('utf8')
    if (again && text.trim() === '') throw new OperatorError('ERR_FILE', `${option}: ${this.path} is empty; write what is to count into it`)
    apply(text, this.path)
  }
}
