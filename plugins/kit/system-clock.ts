import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { uptime } from 'node:os'
import type { Clock, Moment, Timer } from '../../core/time/clock.ts'

// Node's setTimeout takes a signed 32-bit number of milliseconds; more than that fires at once.
const nodeTimerMax = 2 ** 31 - 1

class LongTimer implements Timer {
  #left: number
  #handle: NodeJS.Timeout | undefined
  readonly #callback: () => void

  constructor(ms: number, callback: () => void) {
    this.#left = ms
    this.#callback = callback
    this.#arm()
  }

  #arm(): void {
    const step = Math.min(this.#left, nodeTimerMax)
    this.#left -= step
    this.#handle = setTimeout(() => (this.#left > 0 ? this.#arm() : this.#callback()), step)
    this.#handle.unref()
  }

  cancel(): void {
    clearTimeout(this.#handle)
  }
}

// Linux names each start of the machine.
const boot = bootId()

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
  } catch {
    return ''
  }
}

// Of the machine's monotonic clock, which all its processes read alike. Milliseconds.
const monotonic = (): number => Number(process.hrtime.bigint()) / 1e6

/** Real time, Node's turns and the system's chance. It does not jump when the machine's clock is set, so keep-alive survives a correction by NTP. */
export class SystemClock implements Clock {
  readonly #origin: number

  /**
   * `zero`: what another process of this machine has as its `zero`: both clocks show the same then, though the wall clock was set between the starts of the two. Absent: it
   * begins with the wall clock at the start of this process.
   */
  constructor(zero?: number) {
    this.#origin = zero === undefined ? performance.timeOrigin : zero + monotonic() - performance.now()
  }

  now(): number {
    return this.#origin + performance.now()
  }

  /** What this clock shows when the machine's monotonic clock shows 0. Milliseconds since the Unix epoch. */
  get zero(): number {
    return this.now() - monotonic()
  }

  moment(): Moment {
    return { wall: Date.now(), boot, uptime: uptime() * 1000 }
  }

  after(ms: number, callback: () => void): Timer {
    return new LongTimer(Math.max(0, ms), callback)
  }

  every(ms: number, callback: () => void): Timer {
    const handle = setInterval(callback, ms)
    handle.unref()
    return { cancel: () => clearInterval(handle) }
  }

  turn(callback: () => void): void {
    setImmediate(callback)
  }

  random(size: number): Buffer {
    return randomBytes(size)
  }
}
