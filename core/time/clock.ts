/** One moment on the machine's own clocks. Milliseconds throughout. */
export interface Moment {
  /** The wall clock, since the Unix epoch. It may be wrong, and it may be set at any time. */
  readonly wall: number
  /** Names this start of the machine; empty where the system does not tell. */
  readonly boot: string
  /** Since the machine started, the time that it slept included. */
  readonly uptime: number
}

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
