import { LineThrottle } from '../../core/line-throttle.ts'
import type { Log } from '../../core/log.ts'
import type { Clock, Moment } from '../../core/time/clock.ts'

// NTP moves a clock by half a millisecond a second at most where it does not set it.
const stepMinMs = 1000

/** What is used of the broker here. */
export interface WallWatchHost {
  readonly clock: Clock
  readonly log: Log
}

/** Notices, counts and says that the machine's wall clock was set. Nothing that waits follows it: `clock.now()` does not. */
export class WallWatch {
  readonly #host: WallWatchHost
  readonly #lines: LineThrottle
  #last: Moment
  /** How often it was set, since the start. */
  steps: number

  constructor(host: WallWatchHost) {
    this.#host = host
    this.#lines = new LineThrottle(host.clock, { everyMs: 10_000 })
    this.#last = host.clock.moment()
    this.steps = 0
  }

  /** Called at each tick: whether the clock was set since the one before. */
  look(): boolean {
    const { wall, uptime } = this.#last
    const now = this.#host.clock.moment()
    this.#last = now
    // A machine that slept has not set its clock.
    const stepMs = now.wall - wall - (now.uptime - uptime)
    if (Math.abs(stepMs) < stepMinMs) return false
    this.steps += 1
    const count = this.#lines.pass('step')
    if (count === 0) return true
    const way = `${(Math.abs(stepMs) / 1000).toFixed(1)} s ${stepMs > 0 ? 'ahead' : 'back'}`
    this.#host.log.warn(
      { stepMs: Math.round(stepMs), steps: count },
      `the machine's clock was set ${way}; expiries and delays go on by the time that really passes`,
    )
    return true
  }
}
