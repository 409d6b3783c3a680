import { chmod, lstat, unlink } from 'node:fs/promises'
import { connect, type Server } from 'node:net'
import { relative, resolve } from 'node:path'

// What `sun_path` holds on Linux, less its zero byte; macOS has four bytes less.
const pathBytesMax = process.platform === 'darwin' ? 103 : 107

/** Whether a path names a pipe of Windows, which is no file. */
export function isNamedPipe(path: string): boolean {
  return /^[\\/]{2}[.?][\\/]pipe[\\/]/i.test(path)
}

/** Removes the socket at a path where nobody answers at it: one that a dead process has left. What is no socket stays. Never rejects. */
export async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch(() => null)
  if (found?.isSocket() !== true) return
  const code = await new Promise<string | undefined>(done => {
    const socket = connect(shortSocketPath(path) ?? path)
    socket.on('connect', () => {
      socket.destroy()
      done(undefined)
    })
    socket.on('error', (error: NodeJS.ErrnoException) => done(error.code))
  })
  if (code === 'ECONNREFUSED') await unlink(path).catch(() => {})
}

/**
 * Has a server listen at a Unix socket, which has that mode (`0o600`) from the moment in which it is made, or at a named pipe of Windows. `false`: something is at the
 * path already. Rejects with the system's error, or a `RangeError` where the path is longer than the system takes.
 */
export async function listenAtSocket(server: Server, path: string, mode: number, backlog?: number): Promise<boolean> {
  const isPipe = isNamedPipe(path)
  const short = isPipe ? path : shortSocketPath(path)
  if (short === null) throw new RangeError(`the system takes at most ${pathBytesMax} bytes for the path of a socket; name a shorter one`)
  const unmask = isPipe ? nothing : masked(0o777 & ~mode)
  try {
    await new Promise<void>((done, failed) => {
      server.once('error', failed)
      server.listen({ path: short, exclusive: true, ...(backlog === undefined ? {} : { backlog }) }, () => {
        server.off('error', failed)
        done()
      })
      // The mask holds for the call that makes the socket.
      unmask()
    })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return false
    throw error
  } finally {
    unmask()
  }
  if (!isPipe) await chmod(path, mode)
  return true
}

function nothing(): void {}

// A worker thread may not change the mask of the process; there the mode is set a moment later.
function masked(mask: number): () => void {
  try {
    let before: number | null = process.umask(mask)
    return () => {
      if (before !== null) process.umask(before)
      before = null
    }
  } catch {
    return nothing
  }
}

/** The same path in fewer bytes, seen from the current folder, where the system takes no more; `null`: there is none. */
export function shortSocketPath(path: string): string | null {
  const whole = resolve(path)
  if (Buffer.byteLength(whole) <= pathBytesMax) return whole
  const short = relative(process.cwd(), whole)
  return short !== '' && Buffer.byteLength(short) <= pathBytesMax ? short : null
}
