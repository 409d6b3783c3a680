import { connect, createServer, type Server, type Socket } from 'node:net'

/** How a proxy is cut: connections are reset and new ones refused, or nothing passes any more and nobody is told. */
export type Cut = 'refused' | 'silent'

/** Stands between a client and a server on loopback, so that one of many clients can be cut off. */
export class TcpProxy {
  readonly port: number
  readonly #targetPort: number
  #server: Server
  readonly #sockets = new Set<Socket>()
  #silent = false

  private constructor(server: Server, targetPort: number) {
    this.#server = server
    this.#targetPort = targetPort
    this.port = (server.address() as { port: number }).port
    server.on('connection', socket => this.#accept(socket))
  }

  static async start(targetPort: number): Promise<TcpProxy> {
    return new TcpProxy(await listening(0), targetPort)
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  /** Cuts all connections, and those to come. What is on its way in a silent cut arrives late, as on a line that comes back. */
  async cut(how: Cut): Promise<void> {
    if (how === 'silent') {
      this.#silent = true
      for (const socket of this.#sockets) socket.pause()
      return
    }
    const closed = new Promise(resolve => this.#server.close(resolve))
    for (const socket of this.#sockets) socket.resetAndDestroy()
    await closed
  }

  /** The line is there again. */
  async heal(): Promise<void> {
    this.#silent = false
    for (const socket of this.#sockets) socket.resume()
    if (this.#server.listening) return
    this.#server = await listening(this.port)
    this.#server.on('connection', socket => this.#accept(socket))
  }

  async stop(): Promise<void> {
    if (this.#server.listening) await this.cut('refused')
  }

  #accept(near: Socket): void {
    const far = connect(this.#targetPort, '127.0.0.1')
    this.#pass(near, far)
    this.#pass(far, near)
  }

  #pass(from: Socket, to: Socket): void {
    this.#sockets.add(from)
    from.setNoDelay(true)
    from.on('data', (chunk: Buffer) => {
      if (!to.write(chunk)) from.pause()
    })
    to.on('drain', () => {
      if (!this.#silent) from.resume()
    })
    from.on('end', () => to.end())
    from.on('error', () => to.destroy())
    from.on('close', () => {
      this.#sockets.delete(from)
      to.destroy()
    })
    if (this.#silent) from.pause()
  }
}

async function listening(port: number): Promise<Server> {
  // Half-open connections are passed on as such: what the other side still has to say may come.
  const server = createServer({ allowHalfOpen: true })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  return server
}
