import { randomBytes } from 'node:crypto'
import { chmodSync, closeSync, mkdirSync, openSync, readdirSync, rmSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { OperatorError } from '../../core/errors.ts'

const prefix = 'in-use-'
// How long another that connects but says nothing is waited for: it is stopped, but it lives.
const answerMs = 1000
const againMs = 10

type Answer = 'gone' | 'starting' | 'owner'

/**
 * One broker on a folder, for as long as its process lives: a socket in the folder that it listens on. The kernel takes it away however the
 * process ends, `kill -9` included, and tells even two containers that share a folder, whose process numbers say nothing, apart.
 *
 * Each has a socket of its own name and, once it listens, asks all others. Whoever owns the folder says so and is left alone; of two that are
 * starting, the one whose name comes first goes on. So one gets it, and what a killed one left behind keeps nobody out.
 */
export class FolderLock {
  readonly #server: Server
  readonly #handle: number | null

  private constructor(server: Server, handle: number | null) {
    this.#server = server
    this.#handle = handle
  }

  /** Throws an `OperatorError` where another broker has the folder. `option`: what names it. */
  static async acquire(path: string, option = 'disk.path'): Promise<FolderLock> {
    mkdirSync(path, { recursive: true, mode: 0o700 })
    // The address of a socket is at most 107 bytes long, the path of a folder is not: on Linux it is reached through its open handle.
    const handle = process.platform === 'linux' ? openSync(path, 'r') : null
    const folder = handle === null ? path : `/proc/self/fd/${handle}`
    let says: Answer = 'starting'
    const server = createServer(socket => {
      socket.on('error', () => {})
      socket.end(says)
    })
    const lock = new FolderLock(server, handle)
    try {
      const name = `${prefix}${randomBytes(8).toString('hex')}`
      await listen(server, join(folder, name))
      await waitUntilAlone(folder, name, path, option)
      says = 'owner'
    } catch (error) {
      await lock.release()
      throw error
    }
    return lock
  }

  /** Gives the folder back; the socket goes with its server. */
  async release(): Promise<void> {
    await new Promise(resolve => this.#server.close(resolve))
    if (this.#handle !== null) closeSync(this.#handle)
  }
}

function listen(server: Server, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    // In a worker, by itself: what the supervisor listened on for it would outlive it.
    server.listen({ path: address, exclusive: true }, () => {
      chmodSync(address, 0o600)
      server.unref()
      resolve()
    })
  })
}

/** Waits until nobody else is left. */
async function waitUntilAlone(folder: string, own: string, path: string, option: string): Promise<void> {
  for (;;) {
    let others = 0
    for (const name of readdirSync(folder)) {
      if (!name.startsWith(prefix) || name === own) continue
      const answer = await ask(join(folder, name))
      if (answer === 'owner' || (answer === 'starting' && name < own))
        throw new OperatorError('ERR_DISK_IN_USE', `${option}: another broker uses ${path}; stop it, or name another folder`)
      if (answer === 'gone') rmSync(join(folder, name), { force: true })
      else others += 1
    }
    if (others === 0) return
    await new Promise(resolve => setTimeout(resolve, againMs))
  }
}

function ask(address: string): Promise<Answer> {
  return new Promise(resolve => {
    const socket = connect(address)
    const answered = (answer: Answer): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(answerMs, () => answered('owner'))
    socket.once('data', bytes => answered(bytes.toString() === 'starting' ? 'starting' : 'owner'))
    // It ended while it was asked: the next look will tell.
    socket.once('end', () => answered('starting'))
    // Anything else, such as too many who ask at once, is no sign that nobody is there.
    socket.once('error', ({ code }: NodeJS.ErrnoException) => answered(code === 'ECONNREFUSED' || code === 'ENOENT' ? 'gone' : 'starting'))
  })
}
