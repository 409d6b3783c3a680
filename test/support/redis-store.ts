import { silentLog } from '../../core/log.ts'
import type { Clock, Timer } from '../../core/time/clock.ts'
import { checkOptions } from '../../plugins/kit/options/validation.ts'
import { SystemClock } from '../../plugins/kit/system-clock.ts'
import type { Options } from '../../plugins/redis/client-options.ts'
import { Keys } from '../../plugins/redis/keys.ts'
import { Link } from '../../plugins/redis/link.ts'
import { redisManifest } from '../../plugins/redis/manifest.ts'
import { RedisRetained } from '../../plugins/redis/retained.ts'
import { RedisSessions } from '../../plugins/redis/sessions.ts'
import { SlotWriters } from '../../plugins/redis/slot-writers.ts'
import { lookAtStateMs, RedisState } from '../../plugins/redis/state.ts'
import { StoreCheck } from '../../plugins/redis/store-check.ts'

/** What the redis plugin is made of, without a broker around it. */
export class TestRedisStore {
  readonly options: Options
  readonly link: Link
  readonly writers: SlotWriters
  readonly sessions: RedisSessions
  readonly retained: RedisRetained
  readonly state: RedisState
  readonly #timer: Timer

  constructor(where: object, clock: Clock) {
    this.options = checkOptions(redisManifest.options, where, 'redis') as Options
    const { options } = this
    this.link = new Link(options, silentLog, new SystemClock())
    this.writers = new SlotWriters(this.link, new Keys(options), clock, options, silentLog)
    this.sessions = new RedisSessions(this.writers, clock, silentLog, 1)
    this.retained = new RedisRetained(this.sessions.writes, clock, silentLog)
    this.state = new RedisState(this.sessions.writes, clock)
    this.#timer = clock.every(lookAtStateMs, () => void (this.link.up && this.state.look()))
    const check = new StoreCheck(this.writers, this.options)
    check.sample = () => this.sessions.sample()
    check.onEmptied = isGone => {
      this.sessions.emptied(isGone)
      void this.state.look()
    }
    this.writers.recheck = () => check.look()
    this.link.use({
      admit: () => check.look(),
      ready: () => {
        this.writers.resume()
        void this.state.look()
      },
      interrupted: error => this.writers.interrupted(error),
    })
  }

  /** One that is connected and knows what is stored. */
  static async open(where: object, clock: Clock): Promise<TestRedisStore> {
    const store = new TestRedisStore(where, clock)
    await store.link.start()
    await store.retained.load()
    await store.state.look()
    for await (const _none of store.sessions.sessions());
    return store
  }

  /** Ends as a broker does that is killed: without a word. */
  crash(): void {
    this.state.table.stop()
    this.#timer.cancel()
    this.writers.stop()
    this.link.stop()
  }
}
