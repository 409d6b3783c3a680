import { randomBytes } from 'node:crypto'
import type { Clock, Moment, Timer } from '../../core/time/clock.ts'

interface ScheduledCall extends Timer {
  at: number
  every: number
  callback: () => void
}

/** Time for tests: it stands still until `advance` moves it, and then fires what is due, in order. */
export class ManualClock implements Clock {
  #now: number
  #stepped = 0
  #entries: ScheduledCall[] = []

  /** `now`: where time starts, milliseconds since the Unix epoch. */
  constructor(now = Date.UTC(2020, 8, 18, 15, 13, 46)) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  /** All manual clocks are of one machine, which started with the Unix epoch: what has passed between two of them is what their times differ by. */
  moment(): Moment {
    return { wall: this.#now + this.#stepped, boot: 'manual', uptime: this.#now }
  }

  /** Sets the machine's wall clock, as an operator or NTP does: `ms` ahead, or back where it is negative. No time passes. */
  step(ms: number): void {
    this.#stepped += ms
  }

  after(ms: number, callback: () => void): Timer {
    return this.#add(ms, 0, callback)
  }

  every(ms: number, callback: () => void): Timer {
    return this.#add(ms, ms, callback)
  }

  turn(callback: () => void): void {
    setImmediate(callback)
  }

  random(size: number): Buffer {
    return randomBytes(size)
  }

  /** Moves time on by `ms` and fires each timer at its own moment. */
  advance(ms: number): void {
    const end = this.#now + ms
    for (let next = this.#due(end); next !== undefined; next = this.#due(end)) {
      this.#now = Math.max(this.#now, next.at)
      if (next.every > 0) next.at += next.every
      else next.cancel()
      next.callback()
    }
    // A timer may have moved it further.
    this.#now = Math.max(this.#now, end)
  }

  /** Moves time on as a machine does that slept: what came due meanwhile happens at the end, each timer once. */
  sleep(ms: number): void {
    this.#now += ms
    const due = this.#entries.filter(entry => entry.at <= this.#now).sort((a, b) => a.at - b.at)
    for (const entry of due) {
      if (entry.every > 0) entry.at = this.#now + entry.every
      else entry.cancel()
      entry.callback()
    }
  }

  #due(end: number): ScheduledCall | undefined {
    let first: ScheduledCall | undefined
    for (const entry of this.#entries) if (entry.at <= end && (first === undefined || entry.at < first.at)) first = entry
    return first
  }

  #add(ms: number, every: number, callback: () => void): Timer {
    const entry: ScheduledCall = {
      at: this.#now + Math.max(every > 0 ? 1 : 0, ms),
      every,
      callback,
      cancel: () => {
        this.#entries = this.#entries.filter(other => other !== entry)
      },
    }
    this.#entries.push(entry)
    return entry
  }
}
