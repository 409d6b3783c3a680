import { connect, createServer, type Server, type Socket } from 'node:net'

/** Decides about one command on its way to Redis: `null`, it passes; a text, Redis answers it with that error; `break`, the connection breaks behind it. */
export type CommandFault = (command: readonly Buffer[]) => string | null

/** Stands between a program and a real Redis, and has that answer some commands with an error. */
export class RedisProxy {
  readonly #server: Server
  readonly #target: number
  readonly #sockets = new Set<Socket>()
  /** Asked about each command. */
  fault: CommandFault = () => null
  /** Commands that were answered with an error, or broke the connection. */
  faults = 0

  private constructor(server: Server, target: number) {
    this.#server = server
    this.#target = target
  }

  static async start(target: number): Promise<RedisProxy> {
    const server = createServer()
    const proxy = new RedisProxy(server, target)
    server.on('connection', socket => proxy.#accept(socket))
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.#server.address() as { port: number }).port}`
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise(resolve => this.#server.close(resolve))
  }

  #accept(ours: Socket): void {
    const theirs = connect(this.#target, '127.0.0.1')
    for (const [socket, other] of [
      [ours, theirs],
      [theirs, ours],
    ] as const) {
      this.#sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => {})
      socket.on('close', () => {
        this.#sockets.delete(socket)
        other.destroy()
      })
    }
    theirs.on('data', chunk => ours.write(chunk))
    let rest = Buffer.alloc(0)
    ours.on('data', chunk => {
      rest = Buffer.concat([rest, chunk])
      for (;;) {
        const found = commandIn(rest)
        if (found === null) return
        rest = rest.subarray(found.bytes.length)
        const error = this.fault(found.command)
        if (error === null) {
          theirs.write(found.bytes)
          continue
        }
        this.faults += 1
        if (error === 'break') {
          ours.destroy()
          return
        }
        theirs.write(encode(['EVAL', 'return redis.error_reply(ARGV[1])', '0', error]))
      }
    })
  }
}

/** The first whole command in what has come; null: it is not all there yet. */
function commandIn(bytes: Buffer): { readonly command: Buffer[]; readonly bytes: Buffer } | null {
  const line = (at: number): { value: number; next: number } | null => {
    const end = bytes.indexOf('\r\n', at)
    return end === -1 ? null : { value: Number(bytes.toString('latin1', at + 1, end)), next: end + 2 }
  }
  const head = line(0)
  if (head === null) return null
  const command: Buffer[] = []
  let at = head.next
  for (let i = 0; i < head.value; i++) {
    const length = line(at)
    if (length === null || bytes.length < length.next + length.value + 2) return null
    command.push(bytes.subarray(length.next, length.next + length.value))
    at = length.next + length.value + 2
  }
  return { command, bytes: bytes.subarray(0, at) }
}

function encode(parts: readonly string[]): string {
  return `*${parts.length}\r\n${parts.map(part => `$${Buffer.byteLength(part)}\r\n${part}\r\n`).join('')}`
}
