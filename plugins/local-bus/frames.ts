import type { Socket } from 'node:net'

const headBytes = 5

/** Writes frames to a socket: a length, a kind, and bytes. What is written in one step of the event loop goes out together. */
export class FrameWriter {
  readonly socket: Socket
  #corked = false

  constructor(socket: Socket) {
    this.socket = socket
  }

  /** Bytes that the kernel has not taken yet. */
  get waiting(): number {
    return this.socket.writableLength
  }

  /** `done`: the kernel has all of it, or never will. */
  write(kind: number, bytes: Buffer, done?: () => void): void {
    const { socket } = this
    const head = Buffer.allocUnsafe(headBytes)
    head.writeUInt32BE(bytes.length)
    head[4] = kind
    if (!this.#corked) {
      this.#corked = true
      socket.cork()
      process.nextTick(() => {
        this.#corked = false
        socket.uncork()
      })
    }
    socket.write(head)
    socket.write(bytes, done)
  }
}

/** Reads what a `FrameWriter` wrote. A frame stays where it was read, as far as it came in one piece. */
export class FrameReader {
  readonly #take: (kind: number, bytes: Buffer) => void | Promise<void>
  readonly #socket: Socket
  #rest: Buffer[] = []
  #bytes = 0
  #wanted = headBytes
  #isHeld = false

  /** `take` takes a frame; where it returns a promise, nothing more is read before that resolves. */
  constructor(socket: Socket, take: (kind: number, bytes: Buffer) => void | Promise<void>) {
    this.#socket = socket
    this.#take = take
    socket.on('data', (chunk: Buffer) => {
      this.#rest.push(chunk)
      this.#bytes += chunk.length
      if (!this.#isHeld && this.#bytes >= this.#wanted) this.#drain()
    })
    // Its end is told by `close`.
    socket.on('error', () => {})
  }

  #drain(): void {
    let all = this.#rest.length === 1 ? this.#rest[0]! : Buffer.concat(this.#rest, this.#bytes)
    for (;;) {
      this.#wanted = headBytes
      if (all.length < headBytes) break
      this.#wanted = headBytes + all.readUInt32BE()
      if (all.length < this.#wanted) break
      const taken = this.#take(all[4]!, all.subarray(headBytes, this.#wanted))
      all = all.subarray(this.#wanted)
      if (taken === undefined) continue
      this.#hold(taken)
      break
    }
    this.#rest = all.length === 0 ? [] : [all]
    this.#bytes = all.length
  }

  #hold(taken: Promise<void>): void {
    this.#isHeld = true
    this.#socket.pause()
    void taken.then(() => {
      this.#isHeld = false
      this.#socket.resume()
      this.#drain()
    })
  }
}
