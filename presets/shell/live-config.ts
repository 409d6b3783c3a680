import { OperatorError } from '../../core/errors.ts'
import { Stage } from '../../core/hooks.ts'
import { alarmsOf } from '../../plugins/kit/alarms.ts'
import { stampOf } from '../../plugins/kit/file-stamp.ts'
import { FileWatch } from '../../plugins/kit/file-watch.ts'
import { defineVerb } from '../../plugins/kit/verbs/define-verb.ts'
import type { ResolvedConfig } from './resolved-config.ts'
import type { RunningBroker } from './running-broker.ts'
import { type ConfigReading, configChangesVerb, configDiffVerb, reloadVerb } from './shell-verb-declarations.ts'

const readingsMax = 200

/** A broker's config where it has several workers, each of which reads it. */
export interface LiveConfigAmongWorkers {
  /** This one says in the log what has been taken up; another one, only what it refuses. Default: true. */
  readonly says?: boolean
  /** Has the other workers read the config again, because this one was asked to. Default: there are none. */
  tellOthers?(): void
}

/** Keeps a running broker as its config says: read again when asked to, and when its file has changed. */
export class LiveConfig {
  readonly #running: RunningBroker
  readonly #file: string | undefined
  readonly #read: (file?: string) => Promise<ResolvedConfig>
  readonly #watch: FileWatch
  #last: Promise<void>
  // Readings that somebody has asked for and that are not over.
  #reading = 0
  #holds = false
  readonly #says: boolean
  readonly #tellOthers: () => void
  // The last readings, the oldest first.
  readonly #readings: ConfigReading[] = []
  #generation = 1

  /** `file`: the config's, if there is one. `read`: reads and checks all of the config anew, of another file where one is named. */
  constructor(
    running: RunningBroker,
    file: string | undefined,
    read: (file?: string) => Promise<ResolvedConfig>,
    { says = true, tellOthers = () => {} }: LiveConfigAmongWorkers = {},
  ) {
    this.#says = says
    this.#tellOthers = tellOthers
    this.#running = running
    this.#file = file
    this.#read = read
    this.#last = Promise.resolve()
    this.#watch = new FileWatch(running.broker.clock, () => {
      this.#last = this.#last.then(() => this.#apply())
      return this.#last
    })
    this.#addVerbs()
  }

  #addVerbs(): void {
    const { broker } = this.#running
    alarmsOf(broker).watch('configRefused', () => {
      const failed = this.#readings.at(-1)?.failed ?? null
      return failed === null ? null : `the config was read again and not taken up: ${failed}`
    })
    const { figures } = broker
    const gauge = (name: string, help: string, read: () => number | null): void => {
      figures.add({
        name: `config_${name}`,
        type: 'gauge',
        help,
        read: () => {
          const value = read()
          return value === null ? [] : [{ value }]
        },
      })
    }
    gauge(
      'generation',
      'Which config is in force: 1 is that of the start, and each reading that has changed something is one more.',
      () => this.#generation,
    )
    gauge('last_reload_successful', 'Whether the config was taken up when it was read last; 1 before the first time.', () =>
      (this.#readings.at(-1)?.failed ?? null) === null ? 1 : 0,
    )
    gauge('last_reload_timestamp_seconds', 'When the config was read last after the start, in seconds since the Unix epoch.', () => {
      const at = this.#readings.at(-1)?.at
      return at === undefined ? null : at / 1000
    })
    broker.verbs.add(
      defineVerb(broker, reloadVerb, {
        run: async () => {
          this.#tellOthers()
          await this.reread()
          const reading = this.#readings.at(-1)!
          return { ...reading, done: reading.failed === null }
        },
      }),
    )
    broker.verbs.add(
      defineVerb(broker, configDiffVerb, { run: async (_broker, { file }) => this.#running.compare(await this.#read(file ?? undefined)) }),
    )
    broker.verbs.add(defineVerb(broker, configChangesVerb, { run: () => ({ rows: this.#readings.filter(isChange) }) }))
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
    this.#hold()
    this.#reading += 1
    this.#last = this.#last.then(async () => {
      await this.#see()
      await this.#apply()
      await this.#running.reread().catch((error: Error) => this.#running.broker.report(error))
      this.#reading -= 1
    })
    return this.#last
  }

  /** Whoever connects or subscribes while the config, or a file that it names, is being read is judged by what is read. From the first reading on: a tap costs something. */
  #hold(): void {
    if (this.#holds) return
    this.#holds = true
    const { hooks } = this.#running
    const tap = { name: 'config', stage: Stage.Guard, pure: true }
    const whenRead = (done: () => void): void => {
      if (this.#reading === 0) done()
      else this.#last.then(done)
    }
    hooks.onConnect.tapAsync(tap, (_client, _connect, done) => whenRead(() => done()))
    hooks.onSubscribe.tapAsync(tap, (_client, _subscription, done) => whenRead(() => done()))
  }

  async #see(): Promise<void> {
    if (this.#file !== undefined) this.#watch.saw([{ path: this.#file, stamp: await stampOf(this.#file) }])
  }

  async #apply(): Promise<void> {
    const { log } = this.#running
    try {
      const { taken, later } = await this.#running.reconfigure(await this.#read())
      if (this.#says && taken.length > 0) log.info(`config read again; in force now: ${taken.join(', ')}`)
      if (this.#says && later.length > 0) log.warn(`config read again; only the next start takes up: ${later.join(', ')}`)
      if (this.#says && taken.length + later.length === 0) log.info('config read again; nothing has changed')
      if (taken.length > 0) this.#generation += 1
      this.#note({ taken, later, failed: null })
    } catch (error) {
      const text = error instanceof OperatorError ? error.problems.join('; ') : (error as Error).message
      log.error({ err: error }, `the config was read again and is not taken up, so nothing has changed: ${text}`)
      this.#note({ taken: [], later: [], failed: text })
    }
  }

  #note(reading: Omit<ConfigReading, 'at'>): void {
    if (this.#readings.length === readingsMax) this.#readings.shift()
    this.#readings.push({ at: Math.round(this.#running.broker.clock.now()), ...reading })
  }
}

function isChange({ taken, later, failed }: ConfigReading): boolean {
  return taken.length + later.length > 0 || failed !== null
}
