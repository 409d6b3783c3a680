import { connect, createServer, type Socket } from 'node:net'
import type { LocalSockets, LocalTransport, OpenSocket } from '../kit/services/local-sockets.ts'

/** How the processes of a broker reach one another: by Unix sockets, or as somebody else says. */
export class LocalWays {
  readonly #others: LocalSockets | undefined

  constructor(others?: LocalSockets) {
    this.#others = others
  }

  /** They are sockets of the system. */
  get areSockets(): boolean {
    return this.#others === undefined
  }

  listen(path: string, accept: (end: Socket | LocalTransport) => void): Promise<OpenSocket> {
    if (this.#others !== undefined) return this.#others.listen(path, accept)
    const server = createServer(accept)
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      // Not by way of `node:cluster`, where a program that embeds it is a worker of something else.
      server.listen({ path, exclusive: true }, () => resolve(server))
    })
  }

  connect(path: string): Socket | LocalTransport {
    return this.#others?.connect(path) ?? connect(path)
  }
}
