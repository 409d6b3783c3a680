const readBytes = 262_144
// Most connections have an acknowledgement or two to say in a turn, some a burst, few more: a buffer grows from size to size.
// A thousand publishers that wait for one PUBACK each took 4 KiB each before, more than the pool kept, and a fifth of the
// broker's time went into allocating and collecting them.
export const largeBuffer = 16_384
/** Holds what one turn brings at most before it leaves: 64 KiB, and one message of 16 KiB. */
export const burstBuffer = 98_304
const sizes = [256, 4096, largeBuffer, burstBuffer] as const
// A pool keeps so many of each: at most 4, 8, 8 and 6 MiB.
const keptMax = [16_384, 2048, 512, 64] as const

// What is read and what is written lie in one piece of memory: within one, copying 70 bytes costs 20 ns, and from one to another 80. It is
// enough for some thousand connections that have something to say in one turn; with 26 MiB, V8 collected once more while 5,000 connected.
const arena = Buffer.allocUnsafeSlow(4_194_304)

/**
 * One for the whole process: where transports read to that can choose, since reading and parsing are one step. What lies here is copied to its
 * receivers at less cost than what was read elsewhere.
 */
export const readBuffer: Buffer = arena.subarray(0, readBytes)

/** Copies bytes into a buffer of a pool. */
export function copyBytes(from: Buffer, start: number, end: number, to: Buffer, at: number): void {
  // Of the pools' buffers only those of the arena do not begin where their memory begins.
  if (from === readBuffer && to.byteOffset > 0) arena.copyWithin(to.byteOffset + at, start, end)
  else to.set(start === 0 && end === from.length ? from : from.subarray(start, end), at)
}

/** Buffers that may be used again once the operating system has taken what they held. */
export class BufferPool {
  readonly #kept: readonly Buffer[][] = sizes.map(() => [])
  readonly #make: (size: number) => Buffer

  /** `make`: allocates a buffer of just that size. */
  constructor(make: (size: number) => Buffer = Buffer.allocUnsafeSlow) {
    this.#make = make
  }

  /** One of at least `size` bytes. `waits`: its bytes do not leave soon, so a large one is no larger than they are. */
  take(size: number, waits: boolean): Buffer {
    if (waits && size > largeBuffer) return Buffer.allocUnsafeSlow(size)
    for (let i = 0; i < sizes.length; i++) if (size <= sizes[i]!) return this.#kept[i]!.pop() ?? this.#make(sizes[i]!)
    return Buffer.allocUnsafeSlow(size)
  }

  give(buffer: Buffer): void {
    const size = sizes.indexOf(buffer.length as never)
    if (size < 0) return
    // One of the arena would be lost to it for ever.
    if (this.#kept[size]!.length < keptMax[size]! || buffer.byteOffset > 0) this.#kept[size]!.push(buffer)
  }
}

let arenaUsed = readBytes

/** The arena's buffers, for all brokers of the process; when it has no more, others. Each that is taken must be given back. */
export const arenaBuffers = new BufferPool(size => {
  if (arenaUsed + size > arena.length) return Buffer.allocUnsafeSlow(size)
  arenaUsed += size
  return arena.subarray(arenaUsed - size, arenaUsed)
})
