import type { Socket } from 'node:net'

/**
 * Writing to a socket with the answer that a transport owes: have the bytes been taken? One write request each time, and none
 * besides: a stream says 'drain' only above its high-water mark, and what the broker wants to know is when all is gone.
 */
export class SocketWriter {
  readonly #socket: Socket
  readonly #encrypts: boolean
  readonly #onDrain: () => void
  readonly #written: () => void
  #waits: boolean

  /** `encrypts`: a TLS socket. It copies what it is given before `write` returns, and says so a turn later, always. */
  constructor(socket: Socket, encrypts: boolean, onDrain: () => void) {
    this.#socket = socket
    this.#encrypts = encrypts
    this.#onDrain = onDrain
    this.#waits = false
    this.#written = () => {
      this.#waits = false
      if (this.#socket.writableLength === 0) this.#onDrain()
      else this.#awaitRest()
    }
  }

  /** Bytes that the socket holds. */
  get bufferedBytes(): number {
    return this.#socket.writableLength
  }

  /** Whether the bytes may be used again. */
  write(bytes: Buffer): boolean {
    const socket = this.#socket
    if (!this.#encrypts) {
      socket.write(bytes)
      return this.#taken()
    }
    // Behind an earlier write the bytes wait as they are; else OpenSSL has them when this returns.
    const idle = socket.writableLength === 0
    this.#waits = true
    socket.write(bytes, this.#written)
    return idle
  }

  writeMany(buffers: readonly Buffer[]): boolean {
    const socket = this.#socket
    const idle = socket.writableLength === 0
    socket.cork()
    const last = buffers.length - 1
    for (let i = 0; i < last; i++) socket.write(buffers[i]!)
    if (this.#encrypts) {
      this.#waits = true
      socket.write(buffers[last]!, this.#written)
    } else socket.write(buffers[last]!)
    socket.uncork()
    return this.#encrypts ? idle : this.#taken()
  }

  #taken(): boolean {
    if (this.#socket.writableLength === 0) return true
    this.#awaitRest()
    return false
  }

  // The callback of an empty write stands behind all the others.
  #awaitRest(): void {
    if (this.#waits || this.#socket.destroyed) return
    this.#waits = true
    this.#socket.write(nothing, this.#written)
  }
}

const nothing = Buffer.alloc(0)
