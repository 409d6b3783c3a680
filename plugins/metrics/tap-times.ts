import type { Hooks } from '../../core/hooks.ts'

// As many as the hook has that hands over most.
type Fn = (a: unknown, b?: unknown, c?: unknown, d?: unknown) => unknown

// One call of so many is timed: reading the clock twice costs 0.1 µs, which every call would feel.
const sampleEvery = 64

/** How long one plugin's taps on one hook have kept the event loop. */
export interface TapTime {
  readonly plugin: string
  readonly hook: string
  readonly calls: number
  /** Seconds, as far as the sample tells. What a tap waits for is not in it. */
  readonly seconds: number
}

class Sampled implements TapTime {
  readonly plugin: string
  readonly hook: string
  #left = sampleEvery
  #rounds = 0
  #millis = 0

  constructor(plugin: string, hook: string) {
    this.plugin = plugin
    this.hook = hook
  }

  get calls(): number {
    return this.#rounds * sampleEvery + sampleEvery - this.#left
  }

  get seconds(): number {
    return (this.#millis * sampleEvery) / 1000
  }

  wrap(fn: Fn): Fn {
    return (a, b, c, d) => {
      this.#left -= 1
      return this.#left > 0 ? fn(a, b, c, d) : this.#timed(fn, a, b, c, d)
    }
  }

  #timed(fn: Fn, a: unknown, b: unknown, c: unknown, d: unknown): unknown {
    this.#left = sampleEvery
    this.#rounds += 1
    const began = performance.now()
    try {
      return fn(a, b, c, d)
    } finally {
      this.#millis += performance.now() - began
    }
  }
}

interface Tapped {
  intercept(interceptor: { register(tap: { name: string; fn: unknown }): { name: string; fn: unknown } }): void
}

/** What plugins' taps cost, by plugin and hook: wraps each tap that there is and each that comes. */
export class TapTimes {
  readonly #times = new Map<string, Sampled>()

  constructor(hooks: Hooks) {
    for (const [hook, tapped] of Object.entries(hooks) as [string, Tapped][]) {
      tapped.intercept({ register: tap => ({ ...tap, fn: this.#of(tap.name, hook).wrap(tap.fn as Fn) }) })
    }
  }

  #of(plugin: string, hook: string): Sampled {
    const key = `${hook} ${plugin}`
    let time = this.#times.get(key)
    if (time === undefined) this.#times.set(key, (time = new Sampled(plugin, hook)))
    return time
  }

  [Symbol.iterator](): IterableIterator<TapTime> {
    return this.#times.values()
  }
}
