import { OperatorError } from '../../core/errors.ts'
import { stampOf } from '../../plugins/kit/file-stamp.ts'
import { FileWatch } from '../../plugins/kit/file-watch.ts'
import type { ResolvedConfig } from './resolved-config.ts'
import type { RunningBroker } from './running-broker.ts'

/** Keeps a running broker as its config says: read again when asked to, and when its file has changed. */
export class LiveConfig {
  readonly #running: RunningBroker
  readonly #file: string | undefined
  readonly #read: () => Promise<ResolvedConfig>
  readonly #watch: FileWatch
  #last: Promise<void>

  /** `file`: the config's, if there is one. `read`: reads and checks all of the config anew. */
  constructor(running: RunningBroker, file: string | undefined, read: () => Promise<ResolvedConfig>) {
    this.#running = running
    this.#file = file
    this.#read = read
    this.#last = Promise.resolve()
    this.#watch = new FileWatch(running.broker.clock, () => {
      this.#last = this.#last.then(() => this.#apply())
      return this.#last
    })
  }

  /** Looks at the file from now on, every so many milliseconds; null: never. */
  async watch(everyMs: number | null): Promise<void> {
    if (this.#file === undefined || everyMs === null) return
    await this.#see()
    this.#watch.start(everyMs)
  }

  stop(): void {
    this.#watch.stop()
  }

  /** Reads the config and the files that it names again, as SIGHUP asks. One reading at a time; never rejects. */
  reread(): Promise<void> {
    this.#last = this.#last.then(async () => {
      await this.#see()
      await this.#apply()
      await this.#running.reread().catch((error: Error) => this.#running.broker.report(error))
    })
    return this.#last
  }

  async #see(): Promise<void> {
    if (this.#file !== undefined) this.#watch.saw([{ path: this.#file, stamp: await stampOf(this.#file) }])
  }

  async #apply(): Promise<void> {
    const { log } = this.#running
    try {
      const { taken, later } = await this.#running.reconfigure(await this.#read())
      if (taken.length > 0) log.info(`config read again; in force now: ${taken.join(', ')}`)
      if (later.length > 0) log.warn(`config read again; only the next start takes up: ${later.join(', ')}`)
      if (taken.length + later.length === 0) log.info('config read again; nothing has changed')
    } catch (error) {
      const text = error instanceof OperatorError ? error.problems.join('; ') : (error as Error).message
      log.error({ err: error }, `the config was read again and is not taken up, so nothing has changed: ${text}`)
    }
  }
}
