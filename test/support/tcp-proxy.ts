import { connect, createServer, type Server, type Socket } from 'node:net'

/** Stands between one program and a server on loopback, so that the two can be cut apart. */
export class TcpProxy {
  readonly #server: Server
  readonly #target: number
  readonly #pairs = new Set<readonly [Socket, Socket]>()
  #cut: 'refused' | 'silent' | null = null

  private constructor(server: Server, target: number) {
    this.#server = server
    this.#target = target
  }

  static async start(target: number): Promise<TcpProxy> {
    const server = createServer({ allowHalfOpen: false })
    const proxy = new TcpProxy(server, target)
    server.on('connection', socket => proxy.#accept(socket))
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port
  }

  /** `refused`: connections break and new ones do. `silent`: they stay open, and nothing passes, as when a cable is pulled. */
  cut(how: 'refused' | 'silent'): void {
    this.#cut = how
    for (const [ours, theirs] of this.#pairs) {
      if (how === 'refused') ours.destroy()
      else {
        ours.pause()
        theirs.pause()
      }
    }
  }

  /** What was held back passes on now. */
  heal(): void {
    this.#cut = null
    for (const [ours, theirs] of this.#pairs) {
      ours.resume()
      theirs.resume()
    }
  }

  async stop(): Promise<void> {
    for (const [ours, theirs] of this.#pairs) {
      ours.destroy()
      theirs.destroy()
    }
    await new Promise(resolve => this.#server.close(resolve))
  }

  #accept(ours: Socket): void {
    if (this.#cut === 'refused') {
      ours.destroy()
      return
    }
    const theirs = connect(this.#target, '127.0.0.1')
    const pair = [ours, theirs] as const
    this.#pairs.add(pair)
    for (const [from, to] of [pair, [theirs, ours] as const]) {
      from.setNoDelay(true)
      from.on('error', () => {})
      from.on('data', chunk => {
        if (!to.write(chunk)) from.pause()
      })
      to.on('drain', () => {
        if (this.#cut === null) from.resume()
      })
      from.on('close', () => {
        this.#pairs.delete(pair)
        to.destroy()
      })
    }
    if (this.#cut === 'silent') {
      ours.pause()
      theirs.pause()
    }
  }
}
