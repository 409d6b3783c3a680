import type { Clock, Timer } from '../../core/time/clock.ts'

const parts = 4
// A busy machine fires timers late by so much.
const lateMs = 50

/**
 * Calls once when `ms` milliseconds have passed in which this process was awake. What it stood still meanwhile, because it was stopped, the machine slept or one turn
 * of the event loop took long, does not count: an answer that came in that time has not been read yet. Time is measured in quarters of `ms`, and a quarter that took more
 * than twice as long, and 50 ms, is waited for again.
 */
export function afterAwake(clock: Clock, ms: number, callback: () => void): Timer {
  const part = ms / parts
  let left = parts
  let began = clock.now()
  let timer = clock.after(part, passed)
  function passed(): void {
    const now = clock.now()
    if (now - began <= part * 2 + lateMs) left -= 1
    began = now
    if (left > 0) timer = clock.after(part, passed)
    else callback()
  }
  return { cancel: () => timer.cancel() }
}
