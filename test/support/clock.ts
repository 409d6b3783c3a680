/** What the clocks of a process say: see clock.mjs. */
export interface ClockSetting {
  /** How far its wall clock is ahead when the process begins; negative: behind. */
  readonly shiftMs?: number
  /** By how much it is set at SIGUSR2. */
  readonly stepMs?: number
  /** The name of this start of the machine; left out: the real one's. */
  readonly boot?: string
  /** Seconds since then. */
  readonly uptimeS?: number
}

/** The environment of a process whose clocks say so. */
export function clockEnv({ shiftMs = 0, stepMs = 0, boot, uptimeS = 0 }: ClockSetting): Record<string, string> {
  return {
    NODE_OPTIONS: `--import ${new URL('clock.mjs', import.meta.url).href}`,
    CLOCK_SHIFT_MS: String(shiftMs),
    CLOCK_STEP_MS: String(stepMs),
    ...(boot === undefined ? {} : { CLOCK_BOOT: boot, CLOCK_UPTIME_S: String(uptimeS) }),
  }
}
