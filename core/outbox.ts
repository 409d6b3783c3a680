import type { PublishFrame } from './protocol/encoder.ts'
import type { Transport } from './transport.ts'

// Small enough that 10,000 connections with something to say in one turn cost 40 MiB, large enough for a burst of acks.
const smallBuffer = 4096
const largeBuffer = 16_384
const pooledMax = 512
// A connection with more than this to say does not wait for the end of the turn.
const flushAt = 65_536
// Larger frames are written as they are; copying them costs more than one more entry in a writev.
const copyMax = 2048

/** Buffers that the operating system has taken whole and that may be used again. */
class BufferPool {
  readonly #small: Buffer[] = []
  readonly #large: Buffer[] = []

  take(size: number, large: boolean): Buffer {
    if (size > largeBuffer) return Buffer.allocUnsafeSlow(size)
    if (size > smallBuffer || large) return this.#large.pop() ?? Buffer.allocUnsafeSlow(largeBuffer)
    return this.#small.pop() ?? Buffer.allocUnsafeSlow(smallBuffer)
  }

  give(buffer: Buffer): void {
    if (buffer.length === smallBuffer && this.#small.length < pooledMax) this.#small.push(buffer)
    else if (buffer.length === largeBuffer && this.#large.length < pooledMax) this.#large.push(buffer)
  }
}

/** Collects the outboxes with something to say and flushes them together, once in each turn of the event loop. */
export class Flusher {
  readonly pool = new BufferPool()
  /** Calls to a transport's write, for the test that holds "one write per connection and turn". */
  writes = 0
  #dirty: Outbox[] = []
  #scheduled = false
  readonly #flush = () => this.flush()

  add(outbox: Outbox): void {
    this.#dirty.push(outbox)
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(this.#flush)
  }

  flush(): void {
    this.#scheduled = false
    const dirty = this.#dirty
    this.#dirty = []
    for (let i = 0; i < dirty.length; i++) dirty[i]!.flush()
  }
}

/**
 * What waits to be written to one connection: everything of one turn of the event loop leaves in one write, or one for each
 * 64 KiB. While the
 * operating system does not take it, it waits here; the owner looks at `pendingBytes` and decides what to leave out.
 */
export class Outbox {
  readonly #transport: Transport
  readonly #flusher: Flusher
  // Sealed pieces in order, and whether each came from the pool.
  #chunks: Buffer[]
  #pooled: Buffer[]
  #tail: Buffer | null
  #used: number
  #bytes: number
  #dirty: boolean
  /** The operating system did not take all of the last write; until `drained` nothing more is handed to it. */
  blocked: boolean

  constructor(transport: Transport, flusher: Flusher) {
    this.#transport = transport
    this.#flusher = flusher
    this.#chunks = []
    this.#pooled = []
    this.#tail = null
    this.#used = 0
    this.#bytes = 0
    this.#dirty = false
    this.blocked = false
  }

  /** Bytes that wait, here and in the transport. */
  get pendingBytes(): number {
    return this.blocked ? this.#bytes + this.#transport.bufferedBytes : this.#bytes
  }

  /** The four bytes of an acknowledgement that has nothing else to say. */
  ack(header: number, packetId: number): void {
    const at = this.#reserve(4)
    const tail = this.#tail!
    tail[at] = header
    tail[at + 1] = 2
    tail[at + 2] = packetId >>> 8
    tail[at + 3] = packetId & 0xff
  }

  /** Bytes that nobody will change. */
  bytes(bytes: Buffer): void {
    if (bytes.length > copyMax) this.#append(bytes)
    else this.#copy(bytes)
    this.#early()
  }

  /** A PUBLISH that is shared with other receivers: first byte and packet identifier go into this connection's copy. */
  publish(frame: PublishFrame, packetId: number, dup: boolean): void {
    const { head, payload } = frame
    const at = this.#copy(head)
    const tail = this.#tail!
    tail[at] = dup ? frame.header | 0x08 : frame.header
    if (packetId !== 0) {
      const idAt = at + frame.packetIdAt
      tail[idAt] = packetId >>> 8
      tail[idAt + 1] = packetId & 0xff
    }
    if (payload !== null) this.#append(payload)
    this.#early()
  }

  /** Hands everything to the transport. */
  flush(): void {
    this.#dirty = false
    if (this.blocked || this.#bytes === 0) return
    const transport = this.#transport
    this.#flusher.writes += 1
    let taken: boolean
    if (this.#chunks.length === 0) {
      taken = transport.write(this.#used === this.#tail!.length ? this.#tail! : this.#tail!.subarray(0, this.#used))
    } else {
      this.#seal()
      taken = this.#chunks.length === 1 ? transport.write(this.#chunks[0]!) : transport.writeMany(this.#chunks)
      this.#chunks = []
    }
    if (taken) {
      if (this.#tail !== null) this.#flusher.pool.give(this.#tail)
      for (let i = 0; i < this.#pooled.length; i++) this.#flusher.pool.give(this.#pooled[i]!)
    } else {
      // These buffers belong to the transport now: no byte of them is changed again.
      this.blocked = transport.bufferedBytes > 0
    }
    if (this.#pooled.length > 0) this.#pooled = []
    this.#tail = null
    this.#used = 0
    this.#bytes = 0
  }

  /** The transport has written all it had. */
  drained(): void {
    this.blocked = false
    this.flush()
  }

  /** Hands over what waits though the operating system has not taken the last write: nothing comes after it. */
  finish(): void {
    this.blocked = false
    this.flush()
  }

  /** Forgets what waits; the connection is gone. */
  discard(): void {
    this.#chunks = []
    this.#pooled = []
    this.#tail = null
    this.#used = 0
    this.#bytes = 0
  }

  #copy(bytes: Buffer): number {
    const at = this.#reserve(bytes.length)
    this.#tail!.set(bytes, at)
    return at
  }

  #append(bytes: Buffer): void {
    if (this.#tail !== null) this.#seal()
    this.#chunks.push(bytes)
    this.#grown(bytes.length)
  }

  #reserve(size: number): number {
    if (this.#tail === null) this.#tail = this.#flusher.pool.take(size, this.#bytes > 0)
    else if (this.#used + size > this.#tail.length) {
      this.#seal()
      this.#tail = this.#flusher.pool.take(size, true)
    }
    const at = this.#used
    this.#used += size
    this.#grown(size)
    return at
  }

  #seal(): void {
    if (this.#tail === null) return
    this.#chunks.push(this.#tail.subarray(0, this.#used))
    this.#pooled.push(this.#tail)
    this.#tail = null
    this.#used = 0
  }

  #grown(size: number): void {
    this.#bytes += size
    if (this.#dirty) return
    this.#dirty = true
    this.#flusher.add(this)
  }

  // So much in one turn does not wait for its end: else all that many publishers send in one turn would pile up for a reader
  // that has stopped reading, which is only known after a write.
  #early(): void {
    if (this.#bytes > flushAt && !this.blocked) this.flush()
  }
}
