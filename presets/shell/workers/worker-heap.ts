import { getHeapStatistics } from 'node:v8'

const name = '--max-old-space-size'
const mebibyte = 1_048_576

/** The options of Node for each of several workers, which share the heap that one process would have had. */
export function heapOptions(execArgv: readonly string[], count: number, heapBytes = getHeapStatistics().heap_size_limit): string[] {
  const others = execArgv.filter((option, i) => !isHeap(option) && !(i > 0 && execArgv[i - 1] === name))
  return [...others, `${name}=${Math.max(64, Math.floor(heapBytes / mebibyte / count))}`]
}

function isHeap(option: string): boolean {
  return option.replaceAll('_', '-').startsWith('--max-old-space-size')
}
