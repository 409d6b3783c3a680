import type { Socket } from 'node:net'

/** What node and hub say to one another: a head, which is JSON, and perhaps bytes. */
export interface Frame {
  readonly head: Readonly<Record<string, unknown>>
  readonly body: Buffer
}

// A message of MQTT has at most 256 MiB; a head is some names and what a node says of itself.
const bodyMax = 300 * 1024 * 1024
const headMax = 16 * 1024 * 1024

/** Frames on a socket: two lengths of four bytes, head, body. What is no frame ends the connection. */
export class Frames {
  readonly socket: Socket
  #chunks: Buffer[] = []
  #bytes = 0

  constructor(socket: Socket, came: (frame: Frame) => void, closed: () => void) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.on('error', () => {})
    socket.on('close', closed)
    socket.on('data', chunk => {
      this.#chunks.push(chunk)
      this.#bytes += chunk.length
      try {
        for (let frame = this.#next(); frame !== null; frame = this.#next()) came(frame)
      } catch {
        socket.destroy()
      }
    })
  }

  send(head: object, body: Buffer = Buffer.alloc(0)): void {
    const text = Buffer.from(JSON.stringify(head))
    const lengths = Buffer.alloc(8)
    lengths.writeUInt32BE(text.length, 0)
    lengths.writeUInt32BE(body.length, 4)
    this.socket.cork()
    for (const part of [lengths, text, body]) this.socket.write(part)
    process.nextTick(() => this.socket.uncork())
  }

  #next(): Frame | null {
    if (this.#bytes < 8) return null
    const lengths = this.#peek(8)
    const [head, body] = [lengths.readUInt32BE(0), lengths.readUInt32BE(4)]
    if (head > headMax || body > bodyMax) throw new RangeError('no frame')
    if (this.#bytes < 8 + head + body) return null
    const all = this.#peek(8 + head + body)
    const rest = this.#chunks[0]!.subarray(8 + head + body)
    this.#chunks = rest.length === 0 ? [] : [rest]
    this.#bytes -= 8 + head + body
    return { head: JSON.parse(all.toString('utf8', 8, 8 + head)) as Frame['head'], body: all.subarray(8 + head) }
  }

  /** The first bytes in one piece; all that came is joined only when a frame is whole. */
  #peek(length: number): Buffer {
    if (this.#chunks[0]!.length < length) this.#chunks = [Buffer.concat(this.#chunks)]
    return this.#chunks[0]!.subarray(0, length)
  }
}
