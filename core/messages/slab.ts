/**
 * Keeps copies of small messages side by side: a buffer object for each would cost more than the bytes that it holds (QoS 1,
 * 64 B, window 20: 1.65 → 1.43 µs of CPU a message). A message in flight keeps its slab alive, so slabs are small, larger
 * messages get a buffer of their own.
 */
export class Slab {
  /** Where `keep` has put what it was last given. */
  buffer: Buffer
  at = 0
  readonly #slabBytes: number
  readonly #sharedMax: number
  #slab: Buffer
  #used = 0

  /** `slabBytes`: of one slab. `sharedMax`: a message with more than this gets a buffer of its own. */
  constructor(slabBytes: number, sharedMax: number) {
    this.#slabBytes = slabBytes
    this.#sharedMax = sharedMax
    this.#slab = Buffer.allocUnsafeSlow(slabBytes)
    this.buffer = this.#slab
  }

  /** Copies the bytes to where they are good for ever: `buffer`, from `at`. */
  keep(bytes: Buffer, start: number, end: number): void {
    const size = end - start
    if (size > this.#sharedMax) {
      this.buffer = Buffer.allocUnsafeSlow(size)
      this.at = 0
    } else {
      if (this.#used + size > this.#slabBytes) {
        this.#slab = Buffer.allocUnsafeSlow(this.#slabBytes)
        this.#used = 0
      }
      this.buffer = this.#slab
      this.at = this.#used
      this.#used += size
    }
    this.buffer.set(bytes.subarray(start, end), this.at)
  }
}
