import { constants, fstatSync, openSync, readFileSync } from 'node:fs'

/** Where lines are written, and how. */
export interface Descriptor {
  readonly fd: number
  /** A write may wait, so it is done by a thread of the pool; else it fails with EAGAIN where it would have to. */
  readonly inPool: boolean
  /** A file on a disk: a write waits for the disk at worst, and for nobody who reads. */
  readonly isFile: boolean
}

/**
 * Finds a way to write to standard output or standard error that does not stop the event loop:
 *
 * - A pipe or a terminal is opened once more, by its name below /proc/self/fd: O_NONBLOCK belongs to an open file description, and the one that the process was given is its
 *   parent's too. A shell whose terminal says EAGAIN breaks.
 * - A socket (systemd, a parent in Node) cannot be opened again. Node makes it non-blocking itself, when `process.stdout` is touched, in each program; its other end is a
 *   description of its own. So it goes for pipes of another user's, which cannot be opened, and on systems without /proc.
 * - A file is written by a thread of Node's pool, as its disk may be slow. It is not opened again: a second description begins at its own position, and would write over what
 *   the parent has written.
 * - What is left (another user's terminal) is written in the pool too.
 *
 * A worker thread that writes and waits was no better way: Node waits for its threads when a process ends, and one in `write` does not come back.
 */
export function openDescriptor(fd: 1 | 2 | string): Descriptor {
  // A path: what is written goes behind what is there.
  if (typeof fd === 'string') return { fd: openSync(fd, 'a', 0o640), inPool: true, isFile: true }
  const stat = fstatSync(fd)
  if (stat.isFile()) return { fd, inPool: true, isFile: true }
  try {
    if (process.platform === 'linux' && !stat.isSocket()) {
      const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants
      return { fd: openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NONBLOCK | O_NOCTTY), inPool: false, isFile: false }
    }
  } catch (error) {
    // A pipe that nobody has open for reading: somebody may come.
    if ((error as NodeJS.ErrnoException).code === 'ENXIO') throw error
  }
  const inPool = (!stat.isSocket() && !stat.isFIFO()) || !madeNonBlocking(fd)
  return { fd, inPool, isFile: false }
}

function madeNonBlocking(fd: 1 | 2): boolean {
  const { _handle: handle } = (fd === 1 ? process.stdout : process.stderr) as { _handle?: unknown }
  if (handle == null || process.platform === 'win32') return false
  try {
    const flags = /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '0'
    return (Number.parseInt(flags, 8) & constants.O_NONBLOCK) !== 0
  } catch {
    // There is no /proc: libuv does it on every Unix.
    return true
  }
}
