import { LineThrottle } from './line-throttle.ts'
import type { Log } from './log.ts'
import type { Clock } from './time/clock.ts'

/** Keeps what fails at each message, a broken tap say, to twenty lines of a kind in ten seconds. A kind must not be named by what clients say. */
export function throttledErrors(clock: Clock, log: Log): LineThrottle {
  return new LineThrottle(clock, {
    everyMs: 10_000,
    linesMax: 20,
    others: 'other failures',
    more: (count, kind) => log.error({ count }, `${kind}: ${count} more like those before, in 10 s`),
  })
}
