import { performance } from 'node:perf_hooks'

/** For how long the event loop has waited, and worked: milliseconds. */
export interface LoopUse {
  readonly idle: number
  readonly active: number
}

// Part of the time for which the event loop is busy.
const busyPart = 0.95

/** Whether the event loop was busy nearly all the time between two looks. */
export class LoopBusy {
  readonly #used: () => LoopUse
  #before: LoopUse
  #at: number
  /** What the last look has found; null: it was not busy. */
  said: string | null = null

  constructor(now: number, used: () => LoopUse = () => performance.eventLoopUtilization()) {
    this.#used = used
    this.#before = used()
    this.#at = now
  }

  look(now: number): void {
    const { idle, active } = this.#used()
    const passed = now - this.#at
    const all = idle + active - this.#before.idle - this.#before.active
    const part = (active - this.#before.active) / all
    // A clock that a test moves has nothing to do with what the process has done.
    const isMeasured = all > passed / 2 && all < passed * 2
    this.said = isMeasured && part >= busyPart ? `the event loop is busy for ${Math.round(part * 100)} % of the time` : null
    this.#before = { idle, active }
    this.#at = now
  }
}
