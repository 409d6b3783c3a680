import { mkdir, readdir } from 'node:fs/promises'
import type { Server } from 'node:net'
import { dirname, join } from 'node:path'
import { OperatorError } from '../../core/errors.ts'
import { listenAtSocket, removeStaleSocket } from '../kit/listening/socket-file.ts'

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
  for (const name of await readdir(folder)) if (/^admin-.*\.sock$/.test(name)) await removeStaleSocket(join(folder, name))
  for (let number = 1; number <= namesMax; number++) {
    const path = join(folder, number === 1 ? `admin-${process.pid}.sock` : `admin-${process.pid}-${number}.sock`)
    if (await listenAt(server, path)) return path
  }
  throw unusable(folder, `it holds ${namesMax} sockets of this process; stop those brokers`)
}

/** Opens a server at a path that somebody has named. */
export async function listenAtPath(server: Server, path: string): Promise<string> {
  await makeFolder(dirname(path))
  await removeStaleSocket(path)
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

/** `false`: somebody listens there. */
async function listenAt(server: Server, path: string): Promise<boolean> {
  try {
    return await listenAtSocket(server, path, 0o600)
  } catch (cause) {
    throw unusable(path, `${(cause as Error).message}; name a path that can be written with admin.socket`, cause)
  }
}

function unusable(path: string, why: string, cause?: unknown): OperatorError {
  return new OperatorError('ERR_ADMIN_SOCKET', `admin.socket: ${path}: ${why}`, { cause })
}
