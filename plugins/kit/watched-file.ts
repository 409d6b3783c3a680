import { resolve } from 'node:path'
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
  /** A changed file could not be applied, so that what it said before goes on. */
  failed(error: Error): void
}

/** A text file that an option names: applied at start, and again whenever it has changed. */
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
    this.#watch = new FileWatch(options.clock, () => this.#read().catch(error => options.failed(error as Error)))
  }

  /** Applies the file for the first time; what is wrong with it is the operator's to put right. A plugin's `verify` asks for it. */
  async verify(): Promise<void> {
    await this.#read()
    this.#isRead = true
  }

  /** Begins to watch the file, which is applied first where `verify` has not done so. */
  async start(): Promise<void> {
    if (!this.#isRead) await this.verify()
    this.#watch.start(this.#options.everyMs)
  }

  /** Watches the file no more. */
  stop(): void {
    this.#watch.stop()
  }

  async #read(): Promise<void> {
    const file = await readNamed(this.#options.option, this.path, 'ERR_FILE', 'make it, or correct the path')
    this.#watch.saw([file])
    this.#options.apply(file.bytes.toString('utf8'), this.path)
  }
}
