type Fn = (a: unknown, b?: unknown, c?: unknown) => unknown

// One call of so many is timed: reading the clock twice costs 0.1 µs, which every call would feel.
const sampleEvery = 64

/** How long one plugin's taps on one hook have kept the event loop. */
export interface HookTime {
  readonly plugin: string
  readonly hook: string
  readonly calls: number
  /** Seconds, as far as the sample tells. What a tap waits for is not in it. */
  readonly seconds: number
}

class Sampled implements HookTime {
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
    return (a, b, c) => {
      this.#left -= 1
      return this.#left > 0 ? fn(a, b, c) : this.#timed(fn, a, b, c)
    }
  }

  #timed(fn: Fn, a: unknown, b: unknown, c: unknown): unknown {
    this.#left = sampleEvery
    this.#rounds += 1
    const began = performance.now()
    try {
      return fn(a, b, c)
    } finally {
      this.#millis += performance.now() - began
    }
  }
}

/** What plugins' taps cost, by plugin and hook. */
export class HookTimes {
  readonly #times = new Map<string, Sampled>()

  wrap(plugin: string, hook: string, fn: Fn): Fn {
    const key = `${hook} ${plugin}`
    let time = this.#times.get(key)
    if (time === undefined) this.#times.set(key, (time = new Sampled(plugin, hook)))
    return time.wrap(fn)
  }

  [Symbol.iterator](): IterableIterator<HookTime> {
    return this.#times.values()
  }
}
