import type { PublishFrame } from '../protocol/publish-frame.ts'
import { arenaBuffers, type BufferPool, burstBuffer, copyBytes, largeBuffer } from './buffer-pool.ts'
import type { Flusher } from './flusher.ts'
import type { OutputChain, Piece } from './output-chain.ts'
import type { Transport } from './transport.ts'

// A connection with more than this to say does not wait for the end of the turn.
const flushAt = 65_536
// Larger pieces are written as they are; copying them costs more than one more entry in a writev.
const copyMax = 2048

/**
 * What waits to be written to one connection: everything of one turn of the event loop leaves in one write, or one for each
 * 64 KiB. While the operating system does not take it, it waits here; the owner looks at `pendingBytes` and decides what to leave out.
 *
 * Small things are copied into a buffer from the pool. A PUBLISH that several connections get is not: each keeps a reference
 * and its packet identifier, and the flusher puts the bytes together when they leave.
 */
export class Outbox {
  readonly #transport: Transport
  readonly #flusher: Flusher
  readonly #pool: BufferPool
  // Sealed buffers and shared frames in order, each frame with the packet identifier that it gets here.
  #chain: OutputChain | null = null
  #pooled: Buffer[] | null = null
  // What the transport did not take at once, and gives back.
  #lent: Buffer[] | null = null
  #tail: Buffer | null = null
  #used = 0
  #bytes = 0
  #dirty = false
  // Nothing may leave yet, whatever the operating system takes.
  #held = false
  /** The operating system did not take all of the last write, or nothing may leave yet; until `drained`, or `release`, nothing more is handed to it. */
  blocked = false

  constructor(transport: Transport, flusher: Flusher) {
    this.#transport = transport
    this.#flusher = flusher
    this.#pool = transport.returnsBuffers === true ? arenaBuffers : flusher.pool
  }

  /** Lets nothing leave until `release`. */
  hold(): void {
    this.#held = true
    this.blocked = true
  }

  /** What waits may leave. */
  release(): void {
    if (!this.#held) return
    this.#held = false
    this.blocked = this.#transport.bufferedBytes > 0
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
    if (bytes.length > copyMax) this.#append(bytes, 0, bytes.length)
    else this.#copy(bytes)
    this.#early()
  }

  /** A PUBLISH; first byte and packet identifier are this connection's own. */
  publish(frame: PublishFrame, packetId: number, dup: boolean): void {
    if (frame.shared && !dup) {
      this.#append(frame, packetId, frame.length)
      this.#early()
      return
    }
    const { bytes, start, headLength, payload } = frame
    const at = this.#reserve(headLength)
    const tail = this.#tail!
    copyBytes(bytes, start, start + headLength, tail, at)
    tail[at] = dup ? frame.header | 0x08 : frame.header
    if (packetId !== 0) {
      const idAt = at + frame.packetIdAt
      tail[idAt] = packetId >>> 8
      tail[idAt + 1] = packetId & 0xff
    }
    if (payload !== null) this.#append(payload, 0, payload.length)
    this.#early()
  }

  /** Hands everything to the transport. */
  flush(): void {
    this.#dirty = false
    if (this.blocked || this.#bytes === 0) return
    const transport = this.#transport
    const flusher = this.#flusher
    if (this.#chain === null) {
      const tail = this.#tail!
      flusher.writes += 1
      // Where it is not taken the buffer belongs to the transport now: no byte of it is changed again.
      if (transport.write(this.#used === tail.length ? tail : tail.subarray(0, this.#used))) this.#pool.give(tail)
      else this.#lend(tail)
      this.blocked = transport.bufferedBytes > 0
      this.#tail = null
      this.#used = 0
      this.#bytes = 0
      return
    }
    this.#seal()
    const chain: OutputChain = this.#chain
    const pooled = this.#pooled
    const bytes = this.#bytes
    this.#chain = null
    this.#pooled = null
    this.#bytes = 0
    const free = flusher.write(transport, chain, bytes)
    if (pooled !== null)
      for (let i = 0; i < pooled.length; i++) {
        if (free) this.#pool.give(pooled[i]!)
        else this.#lend(pooled[i]!)
      }
    this.blocked = transport.bufferedBytes > 0
  }

  /** The transport has written all it had. */
  drained(): void {
    this.#takeBack()
    if (this.#held) return
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
    this.#takeBack()
    if (this.#tail !== null) this.#pool.give(this.#tail)
    if (this.#pooled !== null) for (const buffer of this.#pooled) this.#pool.give(buffer)
    this.#chain = null
    this.#pooled = null
    this.#tail = null
    this.#used = 0
    this.#bytes = 0
  }

  #lend(buffer: Buffer): void {
    if (this.#transport.returnsBuffers !== true) return
    this.#lent ??= []
    this.#lent.push(buffer)
  }

  #takeBack(): void {
    const lent = this.#lent
    if (lent === null) return
    this.#lent = null
    for (let i = 0; i < lent.length; i++) this.#pool.give(lent[i]!)
  }

  #copy(bytes: Buffer): number {
    const at = this.#reserve(bytes.length)
    this.#tail!.set(bytes, at)
    return at
  }

  #append(piece: Buffer | PublishFrame, packetId: number, size: number): void {
    if (this.#tail !== null) this.#seal()
    this.#step(piece, packetId)
    this.#grown(size)
  }

  #reserve(size: number): number {
    const tail = this.#tail
    if (tail === null) this.#tail = this.#pool.take(size, this.blocked)
    else if (this.#used + size > tail.length) this.#makeRoom(tail, size)
    const at = this.#used
    this.#used += size
    this.#grown(size)
    return at
  }

  // The tail moves into a larger buffer; one that is large already is sealed, and the next begun.
  #makeRoom(tail: Buffer, size: number): void {
    const pool = this.#pool
    const used = this.#used
    // What waits for a slow reader lies in buffers that it fills.
    if (used + size > (this.blocked ? largeBuffer : burstBuffer)) {
      this.#seal()
      this.#tail = pool.take(Math.max(size, largeBuffer), this.blocked)
      return
    }
    const larger = pool.take(used + size, this.blocked)
    larger.set(used === tail.length ? tail : tail.subarray(0, used))
    pool.give(tail)
    this.#tail = larger
  }

  #seal(): void {
    if (this.#tail === null) return
    this.#pooled ??= []
    this.#step(this.#tail.subarray(0, this.#used), 0)
    this.#pooled.push(this.#tail)
    this.#tail = null
    this.#used = 0
  }

  #step(piece: Piece, packetId: number): void {
    const at = this.#chain ?? this.#flusher.start
    this.#chain = at.step(piece, packetId)
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
