import type { Moment } from '../../core/time/clock.ts'

/** When this version was released: a wall clock that says an earlier time is wrong. A test holds it against the changelog. */
export const releasedAt = Date.UTC(2026, 10, 29)

/**
 * How many milliseconds have passed from one moment to a later one; null: nobody knows. Within one start of the machine its uptime tells, whatever the
 * wall clock says; over a restart of the machine the wall clock does, unless it is wrong at one of the two.
 */
export function passedBetween(before: Moment, after: Moment): number | null {
  if (before.boot !== '' && before.boot === after.boot && after.uptime >= before.uptime) return after.uptime - before.uptime
  const passed = after.wall - before.wall
  return before.wall < releasedAt || after.wall < releasedAt || passed < 0 ? null : passed
}
