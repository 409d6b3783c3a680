import { chmod, mkdir, readdir, unlink } from 'node:fs/promises'
import type { Server } from 'node:net'
import { connect } from 'node:net'
import { dirname, join, relative, resolve } from 'node:path'
import { OperatorError } from '../../core/errors.ts'

// What `sun_path` holds on Linux, less its zero byte; macOS has four bytes less.
const pathBytesMax = process.platform === 'darwin' ? 103 : 107
// So many brokers of one process put their sockets into one folder.
const namesMax = 100

/** The folder of the socket where none is named: systemd's for what runs, the one of the data, or `data` of the config's folder. */
export function socketFolder(configFolder: string, dataFolder: string | undefined, runtime: string | undefined): string {
  const [given] = (runtime ?? '').split(':')
  if (given !== undefined && given !== '') return given
  return dataFolder ?? join(configFolder, 'data')
}

/** Opens a server at a socket of its own in a folder; sockets that dead brokers have left there are removed. Returns its path. */
export async function listenIn(server: Server, folder: string): Promise<string> {
  await makeFolder(folder)
  for (const name of await readdir(folder)) if (/^admin-.*\.sock$/.test(name)) await removeStale(join(folder, name))
  for (let number = 1; number <= namesMax; number++) {
    const path = join(folder, number === 1 ? `admin-${process.pid}.sock` : `admin-${process.pid}-${number}.sock`)
    if (await listenAt(server, path)) return path
  }
  throw unusable(folder, `it holds ${namesMax} sockets of this process; stop those brokers`)
}

/** Opens a server at a path that somebody has named. */
export async function listenAtPath(server: Server, path: string): Promise<string> {
  await makeFolder(dirname(path))
  await removeStale(path)
  if (!(await listenAt(server, path))) throw unusable(path, 'another broker has it; name another one with admin.socket')
  return path
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
  } catch (cause) {
    throw unusable(folder, `${(cause as Error).message}; name a path that can be written with admin.socket`, cause)
  }
}

/** A socket that nobody answers at is one that a dead broker has left. */
async function removeStale(path: string): Promise<void> {
  const code = await new Promise<string | undefined>(done => {
    const socket = connect(path)
    socket.on('connect', () => {
      socket.destroy()
      done(undefined)
    })
    socket.on('error', (error: NodeJS.ErrnoException) => done(error.code))
  })
  if (code === 'ECONNREFUSED') await unlink(path).catch(() => {})
}

/** `false`: somebody listens there. */
async function listenAt(server: Server, path: string): Promise<boolean> {
  const short = shortPath(path)
  // The socket is its owner's alone from the moment in which it is made: the mask holds for the call that makes it.
  const unmask = masked()
  try {
    await new Promise<void>((done, failed) => {
      server.once('error', failed)
      server.listen({ path: short, exclusive: true }, () => {
        server.off('error', failed)
        done()
      })
      unmask()
    })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EADDRINUSE') return false
    throw unusable(path, `${(cause as Error).message}; name a path that can be written with admin.socket`, cause)
  } finally {
    unmask()
  }
  await chmod(path, 0o600)
  return true
}

// A worker thread may not change the mask of the process; there the mode is set a moment later.
function masked(): () => void {
  try {
    const mask = process.umask(0o177)
    return () => void process.umask(mask)
  } catch {
    return () => {}
  }
}

/** The same path in fewer bytes, where the system takes no more. */
function shortPath(path: string): string {
  const whole = resolve(path)
  if (Buffer.byteLength(whole) <= pathBytesMax) return whole
  const short = relative(process.cwd(), whole)
  if (short !== '' && Buffer.byteLength(short) <= pathBytesMax) return short
  throw unusable(path, `the system takes at most ${pathBytesMax} bytes for the path of a socket; name a shorter one with admin.socket`)
}

function unusable(path: string, why: string, cause?: unknown): OperatorError {
  return new OperatorError('ERR_ADMIN_SOCKET', `admin.socket: ${path}: ${why}`, { cause })
}
