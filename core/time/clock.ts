import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { uptime } from 'node:os'
import type { Moment } from './moment.ts'

/** A timer that can be called off; calling off one that has fired does nothing. */
export interface Timer {
  /** The timer does not fire any more. Harmless when it has fired. */
  cancel(): void
}

/** The one source of time, of turns and of chance in core and plugins, so that tests can decide about them. Milliseconds throughout. */
export interface Clock {
  /**
   * Milliseconds since the Unix epoch, as the wall clock said when the process began; goes on with the time that passes, never back, and does not
   * follow a wall clock that is set meanwhile. What is waited for is counted by it.
   */
  now(): number
  /** This moment on the machine's own clocks: what to keep where the time that passes has to be told over a restart, and the time of day. */
  moment(): Moment
  /** Calls once, after at least `ms`; any length, also beyond what Node's timers can count. */
  after(ms: number, callback: () => void): Timer
  /** Calls again and again. */
  every(ms: number, callback: () => void): Timer
  /** Calls once, in a later turn of the event loop: behind what is read from connections in this one. */
  turn(callback: () => void): void
  /** So many bytes that nobody can guess. */
  random(size: number): Buffer
}

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

/** Real time, Node's turns and the system's chance. It does not jump when the machine's clock is set, so keep-alive survives a correction by NTP. */
export class SystemClock implements Clock {
  now(): number {
    return performance.timeOrigin + performance.now()
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
