import { totalmem } from 'node:os'
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** How much of its memory the process uses. */
export interface MemoryUse {
  /** Bytes, and the most there may be, of whichever of the two is nearer to its limit: the process, or V8's heap within it. */
  readonly used: number
  readonly max: number
}

/** Bytes that this process may use: what its container allows, or all that the machine has. */
export function memoryMax(): number {
  const total = totalmem()
  const constrained = process.constrainedMemory()
  // Where nothing constrains it, this is 0, or more than any machine has.
  return constrained > 0 && constrained < total ? constrained : total
}

// What V8 does not count: Node itself, and for each connection its socket, with TLS.
const nativeBytes = 64 * 1_048_576
const nativeBytesEach = 65_536

/**
 * Measures the process against `max` bytes, and its heap against V8's own limit. The system counts too what the allocator keeps after
 * it was freed, for ever as it may be (500 MiB after a flood of 100 KB messages); that is there for what comes next, so the
 * process counts with what is alive in it, as far as that can be told, and never with more than the system says.
 */
export function memoryUse(max: number, connections: number): MemoryUse {
  const { rss, heapTotal, heapUsed, external } = process.memoryUsage()
  const heapMax = getHeapStatistics().heap_size_limit
  const used = Math.min(rss, heapTotal + external + nativeBytes + connections * nativeBytesEach)
  return used / max >= heapUsed / heapMax ? { used, max } : { used: heapUsed, max: heapMax }
}

let collect: (() => void) | null | undefined

/**
 * Collects garbage now, all of it. V8 does so by itself while a program allocates; a broker that has just shed its load does not, and would
 * look as full as before for as long as it is quiet. Takes a tenth of a second or more, so only where memory is short.
 */
export function collectGarbage(): void {
  if (collect === undefined) {
    // The flag counts for contexts that are made after it, so nobody else sees this `gc`.
    setFlagsFromString('--expose-gc')
    const found: unknown = runInNewContext('globalThis.gc')
    setFlagsFromString('--no-expose-gc')
    collect = typeof found === 'function' ? (found as () => void) : null
  }
  collect?.()
}
