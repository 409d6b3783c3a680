import { OperatorError } from '../../core/errors.ts'
import type { Timer } from '../../core/time/clock.ts'
import { stampOf } from '../../plugins/kit/file-stamp.ts'
import type { ResolvedConfig } from './resolved-config.ts'
import type { RunningBroker } from './running-broker.ts'

/** Keeps a running broker as its config says: read again when asked to, and when its file has changed. */
export class LiveConfig {
  readonly #running: RunningBroker
  readonly #file: string | undefined
  readonly #read: () => Promise<ResolvedConfig>
  #timer: Timer | null
  #stamp: string
  #looking: boolean
  #last: Promise<void>

  /** `file`: the config's, if there is one. `read`: reads and checks all of the config anew. */
  constructor(running: RunningBroker, file: string | undefined, read: () => Promise<ResolvedConfig>) {
    this.#running = running
    this.#file = file
    this.#read = read
    this.#timer = null
    this.#stamp = ''
    this.#looking = false
    this.#last = Promise.resolve()
  }

  /** Looks at the file from now on, every so many milliseconds; null: never. */
  async watch(everyMs: number | null): Promise<void> {
    if (this.#file === undefined || everyMs === null) return
    this.#stamp = await stampOf(this.#file)
    this.#timer = this.#running.broker.clock.every(everyMs, () => void this.#look())
  }

  stop(): void {
    this.#timer?.cancel()
  }

  /** Reads the config and the files that it names again, as SIGHUP asks. One reading at a time; never rejects. */
  reread(): Promise<void> {
    this.#last = this.#last.then(async () => {
      if (this.#timer !== null) this.#stamp = await stampOf(this.#file!)
      await this.#take()
      await this.#running.reread().catch((error: Error) => this.#running.broker.report(error))
    })
    return this.#last
  }

  // It is looked at rather than listened to: a mounted config changes by a link two folders away, which no watcher is told of.
  async #look(): Promise<void> {
    if (this.#looking) return
    this.#looking = true
    const stamp = await stampOf(this.#file!)
    if (stamp !== this.#stamp) {
      this.#stamp = stamp
      this.#last = this.#last.then(() => this.#take())
      await this.#last
    }
    this.#looking = false
  }

  async #take(): Promise<void> {
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
