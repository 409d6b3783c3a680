import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'

/** How many workers the option `workers` asks for. */
export function workerCount(workers: number | string): number {
  return typeof workers === 'number' ? workers : Math.max(1, Math.min(availableParallelism(), Math.floor(cpuQuota())))
}

/** Processors that the cgroup of this process may use at most; `Infinity`: as many as there are. */
export function cpuQuota(read = (file: string): string => readFileSync(file, 'latin1')): number {
  let quota = Number.POSITIVE_INFINITY
  // In a container its own cgroup is the root of what it sees; elsewhere each one above counts, too.
  for (const folder of foldersOf(read)) {
    const [max, period] = tryRead(read, join('/sys/fs/cgroup', folder, 'cpu.max'))
      .split(' ')
      .map(Number)
    if (max! > 0 && period! > 0) quota = Math.min(quota, max! / period!)
    const max1 = Number(tryRead(read, join('/sys/fs/cgroup/cpu', folder, 'cpu.cfs_quota_us')))
    const period1 = Number(tryRead(read, join('/sys/fs/cgroup/cpu', folder, 'cpu.cfs_period_us')))
    if (max1 > 0 && period1 > 0) quota = Math.min(quota, max1 / period1)
  }
  // Less than one is one.
  return Math.max(1, quota)
}

function foldersOf(read: (file: string) => string): Set<string> {
  const folders = new Set(['/'])
  for (const line of tryRead(read, '/proc/self/cgroup').split('\n')) {
    let path = line.split(':')[2] ?? ''
    while (path.length > 1) {
      folders.add(path)
      path = path.slice(0, Math.max(1, path.lastIndexOf('/')))
    }
  }
  return folders
}

function tryRead(read: (file: string) => string, file: string): string {
  try {
    return read(file).trim()
  } catch {
    return ''
  }
}
