import { totalmem } from 'node:os'
import { getHeapStatistics } from 'node:v8'

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

/** Measures the process against `max` bytes, and its heap against V8's own limit. */
export function memoryUse(max: number): MemoryUse {
  const { rss, heapUsed } = process.memoryUsage()
  const heapMax = getHeapStatistics().heap_size_limit
  return rss / max >= heapUsed / heapMax ? { used: rss, max } : { used: heapUsed, max: heapMax }
}
