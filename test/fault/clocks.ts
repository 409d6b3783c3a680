import { clockEnv } from '../support/clock.ts'

// Wall clocks of brokers that are wrong, and are set under way (test/support/clock.mjs).

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

/** By how much a wall clock is wrong; negative: behind. */
const errors = [-10 * day, -2 * day, -2 * hour, -minute, 0, minute, 2 * hour, 10 * day]

/** Seconds for which sessions and messages live meanwhile: less than most of these errors. */
export const lifeSeconds = 3600

/** The environment of a broker whose wall clock is wrong by one of them at its start, by another from its SIGUSR2 on. */
export function wrongClock(random: () => number): Record<string, string> {
  const pick = (): number => errors[Math.floor(random() * errors.length)]!
  const shiftMs = pick()
  return clockEnv({ shiftMs, stepMs: pick() - shiftMs })
}
