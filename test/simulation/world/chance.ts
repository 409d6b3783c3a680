/** Numbers by chance that follow from a seed. Whoever has a stream of its own is not disturbed by what others draw. */
export class Chance {
  #state: number

  constructor(seed: string | number) {
    this.#state = hashOf(String(seed))
  }

  /** Another stream, of a name. */
  fork(name: string): Chance {
    return new Chance(`${this.#state} ${name}`)
  }

  /** From 0 up to but without 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number from `low` to `high`, both included. */
  int(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1))
  }

  /** `true` in so many of a hundred cases. */
  percent(percent: number): boolean {
    return this.next() * 100 < percent
  }

  pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.next() * from.length)]!
  }

  /** Short as a rule, long now and then: milliseconds up to `max`. */
  latency(max: number): number {
    const drawn = this.next()
    return max * drawn * drawn * drawn
  }

  bytes(size: number): Buffer {
    const bytes = Buffer.allocUnsafe(size)
    for (let i = 0; i < size; i++) bytes[i] = Math.floor(this.next() * 256)
    return bytes
  }
}

function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}
