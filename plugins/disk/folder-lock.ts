import { chmodSync, closeSync, mkdirSync, openSync, realpathSync, renameSync, rmSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { OperatorError } from '../../core/errors.ts'

const socketName = 'in-use'

/**
 * One broker on a folder, for as long as its process lives: a socket in the folder that it listens on. The kernel gives it back however the
 * process ends, `kill -9` included, and tells even two containers that share the folder, whose process numbers say nothing, apart.
 */
export class FolderLock {
  readonly #server: Server
  readonly #folder: number | null

  private constructor(server: Server, folder: number | null) {
    this.#server = server
    this.#folder = folder
  }

  /** Throws an `OperatorError` where another broker has the folder. */
  static async take(path: string): Promise<FolderLock> {
    mkdirSync(path, { recursive: true, mode: 0o700 })
    const onLinux = process.platform === 'linux'
    // The address of a socket is at most 107 bytes long, the path of a folder is not: it is reached through its open handle.
    const folder = onLinux ? openSync(path, 'r') : null
    const address =
      process.platform === 'win32'
        ? `\\\\.\\pipe\\mqttx-broker-${realpathSync(path).replaceAll(/[^a-zA-Z0-9]/g, '-')}`
        : join(folder === null ? path : `/proc/self/fd/${folder}`, socketName)
    try {
      return new FolderLock(await listen(address, path), folder)
    } catch (error) {
      if (folder !== null) closeSync(folder)
      throw error
    }
  }

  async release(): Promise<void> {
    // Node takes the socket out of the folder when it closes.
    await new Promise(resolve => this.#server.close(resolve))
    if (this.#folder !== null) closeSync(this.#folder)
  }
}

async function listen(address: string, path: string): Promise<Server> {
  for (let attempt = 0; attempt < 3; attempt++) {
    const server = createServer(socket => socket.destroy())
    server.unref()
    const error = await new Promise<NodeJS.ErrnoException | null>(resolve => {
      server.once('error', resolve)
      server.listen(address, () => resolve(null))
    })
    if (error === null) {
      if (process.platform !== 'win32') chmodSync(address, 0o600)
      return server
    }
    if (error.code !== 'EADDRINUSE') throw error
    if (await isAnswered(address)) throw inUse(path)
    // Left behind by one that was killed. Another that starts at this moment may have replaced it since: what was moved away decides.
    const aside = `${address}.${process.pid}`
    try {
      renameSync(address, aside)
    } catch {
      continue
    }
    if (await isAnswered(aside)) {
      renameSync(aside, address)
      throw inUse(path)
    }
    rmSync(aside, { force: true })
  }
  throw inUse(path)
}

function isAnswered(address: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(address)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    // Anything else, such as too many who ask at once, is no sign that nobody is there.
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code !== 'ECONNREFUSED' && code !== 'ENOENT'))
  })
}

function inUse(path: string): OperatorError {
  return new OperatorError('ERR_DISK_IN_USE', `disk.path: another broker uses ${path}; stop it, or name another folder`)
}
