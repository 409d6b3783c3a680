import { readdirSync, readFileSync } from 'node:fs'

// Linux counts processor time in hundredths of a second, whatever the kernel's own tick is.
const ticksPerSecond = 100

/** User and system time that a process has used, in seconds. 0 where /proc does not tell. */
export function cpuSeconds(pid: number): number {
  try {
    // In nanoseconds, of all threads. A tenth of a second in hundredths would be known to one part in ten only.
    let nanos = 0
    for (const thread of readdirSync(`/proc/${pid}/task`))
      nanos += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0])
    if (nanos > 0) return nanos / 1e9
  } catch {
    // A kernel without it, or a thread that ended meanwhile.
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name in brackets may hold spaces; user and system time are the 12th and 13th field after it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
  } catch {
    return 0
  }
}

/** Resident memory in MiB, now and at its highest. */
export function memory(pid: number): { now: number; peak: number } {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const kib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0)
    return { now: kib('VmRSS') / 1024, peak: kib('VmHWM') / 1024 }
  } catch {
    return { now: 0, peak: 0 }
  }
}

/** A process and all that it has started. */
export function processesOf(pid: number): number[] {
  const found = [pid]
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const children = readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').trim()
      if (children !== '') found.push(...children.split(' ').flatMap(child => processesOf(Number(child))))
    }
  } catch {
    // It has ended meanwhile.
  }
  return found
}

/** The time that a process and all that it has started have used, in seconds. */
export function cpuSecondsOfAll(pid: number): number {
  return processesOf(pid).reduce((sum, one) => sum + cpuSeconds(one), 0)
}
