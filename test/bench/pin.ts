import { existsSync } from 'node:fs'
import { cpus } from 'node:os'

/** Broker and load run on cores of their own where there are two and `taskset` can pin to them. */
export const canPin = cpus().length > 1 && existsSync('/usr/bin/taskset')

/** The command that runs another one on the core of its side. */
export function pinned(side: 'broker' | 'load', command: readonly string[]): string[] {
  return canPin ? ['taskset', '-c', side === 'broker' ? '0' : '1', ...command] : [...command]
}
