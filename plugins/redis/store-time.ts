import type { Log } from '../../core/log.ts'
import type { Clock } from '../../core/time/clock.ts'
import { LineThrottle } from '../kit/line-throttle.ts'
import { SystemClock } from '../kit/system-clock.ts'
import type { Keys } from './keys.ts'
import type { Link } from './link.ts'
import { LuaScript } from './script/lua-script.ts'

// Redis' clock was set, or another Redis answers now, where it has moved by so much more than the time that passed.
const stepMinMs = 1000
const differenceMaxMs = 1000
const differenceEveryMs = 600_000

// A node looks so often, and a node that begins finds that one has looked lately, where others run.
export const lookAtTimeMs = 1000
const lookedAgoMaxMs = 3 * lookAtTimeMs

// What Redis' clock says; how far the store's time is ahead of it, which is changed from `seen` to `wanted` where it still is `seen`; and what Redis' clock said
// when a node looked last. Both stand in one value.
const timeScript = new LuaScript(
  ['time'],
  ['seen', 'wanted'],
  `
local kept = redis.call('GET', time) or '0'
local offset, before = string.match(kept, '^(%S+) ?(%S*)$')
local clock = redis.call('TIME')
local now = string.format('%d%03d', clock[1], math.floor(clock[2] / 1000))
if seen ~= wanted and offset == seen then
  offset = wanted
  redis.call('SET', time, offset .. ' ' .. now)
else
  -- Redis may take no writes just now.
  redis.pcall('SET', time, offset .. ' ' .. now)
end
return {clock[1], clock[2], offset, before}
`,
)

interface Reading {
  /** What Redis' clock says. */
  readonly redis: number
  /** How far the store's time is ahead of it, as Redis keeps it: text, to be compared. */
  readonly offset: string
  /** What Redis' clock said when a node looked last; null: none has. */
  readonly before: number | null
  /** The same moment on this machine: the broker's clock, its uptime, its wall clock. */
  readonly now: number
  readonly uptime: number
  readonly wall: number
  /** How long the answer took: the moment is known no better. */
  readonly tookMs: number
}

/**
 * The time of the store, by which all that is kept in Redis comes due, one for all nodes: what Redis' clock says, and an offset that is kept beside the data. This
 * node's own clock only tells how much time has passed since it last asked. Where Redis' clock is set, or a replica whose clock is another takes over, the first node that
 * sees it changes the offset by as much, so that the store's time goes on.
 */
export class StoreTime {
  readonly #link: Link
  readonly #keys: Keys
  readonly #clock: Clock
  readonly #log: Log
  readonly #lines: LineThrottle
  #last: Reading | null
  #looking: Promise<void> | null
  /** Milliseconds to add to a time of the broker's clock. 0 until Redis has told its time, and where tests move the clock. */
  shift: number
  /** Milliseconds by which this machine's wall clock is ahead of Redis'; null: Redis has not told it yet. */
  differenceMs: number | null
  /** How often Redis' clock was set, as far as this node has seen. */
  steps: number
  /** Other nodes may run, which see a step that this one cannot know of. */
  hasOthers: () => boolean = () => false

  constructor(link: Link, keys: Keys, clock: Clock, log: Log) {
    this.#link = link
    this.#keys = keys
    this.#clock = clock
    this.#log = log
    this.#lines = new LineThrottle(clock, { everyMs: differenceEveryMs })
    this.#last = null
    this.#looking = null
    this.shift = 0
    this.differenceMs = null
    this.steps = 0
  }

  now(): number {
    return this.#clock.now() + this.shift
  }

  /** Asks Redis; rejects where it does not answer. */
  look(): Promise<void> {
    if (!(this.#clock instanceof SystemClock)) return Promise.resolve()
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null
    })
    return this.#looking
  }

  async #look(): Promise<void> {
    let reading = await this.#ask('', '')
    this.#compare(reading)
    const last = this.#last
    if (last === null) {
      // Others may be about to see that Redis' clock was set; until one has, the offset is not to be believed, and what this node did by it would be lost.
      if (this.hasOthers() && isDoubtful(reading)) {
        await new Promise(resolve => setTimeout(resolve, lookAtTimeMs + stepMinMs / 2))
        reading = await this.#ask('', '')
      }
    } else {
      const passed = reading.uptime - last.uptime
      const doubt = stepMinMs + reading.tookMs + last.tookMs
      const step = reading.redis - last.redis - passed
      const astray = timeOf(reading) - timeOf(last) - passed
      // Another node may have put it right already.
      if (Math.abs(step) > doubt) {
        // Where Redis takes no writes just now, this node goes on as before and tries again at its next look.
        if (Math.abs(astray) > doubt) {
          const changed = await this.#ask(reading.offset, String(Math.round(Number(reading.offset) - astray))).catch(refusedWrite)
          if (changed === null) return
          reading = changed
        }
        this.#stepped(step)
      }
    }
    this.#last = reading
    this.shift = timeOf(reading) - reading.now
  }

  async #ask(seen: string, wanted: string): Promise<Reading> {
    const asked = this.#clock.moment()
    const key = this.#keys.time
    const [reply] = await this.#link.send(key, [timeScript.whole({ time: key }, { seen, wanted })], false)
    if (reply instanceof Error) throw reply
    const { wall, uptime } = this.#clock.moment()
    const tookMs = uptime - asked.uptime
    const [seconds, micros, offset, before] = (reply as Buffer[]).map(String) as [string, string, string, string]
    const half = tookMs / 2
    const redis = Number(seconds) * 1000 + Number(micros) / 1000
    const lookedAt = before === '' ? null : Number(before)
    return { redis, offset, before: lookedAt, now: this.#clock.now() - half, uptime: uptime - half, wall: wall - half, tookMs }
  }

  #stepped(stepMs: number): void {
    this.steps += 1
    const way = `${(Math.abs(stepMs) / 1000).toFixed(1)} s ${stepMs > 0 ? 'ahead' : 'back'}`
    if (this.#lines.pass('step') > 0)
      this.#log.warn(
        { stepMs: Math.round(stepMs) },
        `the clock of redis was set ${way}, or a Redis whose clock differs has taken over; what is stored comes due when it would have without that`,
      )
  }

  #compare({ wall, redis, tookMs }: Reading): void {
    this.differenceMs = wall - redis
    if (Math.abs(this.differenceMs) <= differenceMaxMs + tookMs || this.#lines.pass('difference') === 0) return
    this.#log.warn({ differenceMs: Math.round(this.differenceMs) }, `${differenceText(this.differenceMs)}; set up NTP on both`)
  }
}

function refusedWrite(error: Error): null {
  if (/^(OOM|MISCONF|READONLY|NOREPLICAS)|OOM command not allowed/.test(error.message)) return null
  throw error
}

/** Redis' clock went back since a node looked, or so far ahead that nobody can have looked for a while. */
function isDoubtful({ redis, before }: Reading): boolean {
  return before !== null && (redis < before - stepMinMs || redis > before + lookedAgoMaxMs)
}

function timeOf({ redis, offset }: Reading): number {
  return redis + Number(offset)
}

/** A clause on how this machine's clock differs from Redis'. */
export function differenceText(ms: number): string {
  return `this machine's clock is ${(Math.abs(ms) / 1000).toFixed(1)} s ${ms > 0 ? 'ahead of' : 'behind'} that of redis`
}
