import { PublishFrame } from '../protocol/publish-frame.ts'
import type { Outbox } from './outbox.ts'
import type { Transport } from './transport.ts'

// Most connections have an acknowledgement or two to say in a turn, some a burst, few more: a buffer grows from size to size.
// A thousand publishers that wait for one PUBACK each took 4 KiB each before, more than the pool kept, and a fifth of the
// broker's time went into allocating and collecting them.
export const largeBuffer = 16_384
const sizes = [256, 4096, largeBuffer] as const
// The pool keeps so many of each: at most 4, 8 and 8 MiB.
const keptMax = [16_384, 2048, 512] as const
// What is put together from pieces up to this goes out in one write; more goes out as it lies, in one writev.
const batchMax = 65_536
const batchMin = 4096

/** Buffers that the operating system has taken whole and that may be used again. */
class BufferPool {
  readonly #kept: readonly Buffer[][] = sizes.map(() => [])

  /** One of at least `size` bytes. */
  take(size: number): Buffer {
    for (let i = 0; i < sizes.length; i++) if (size <= sizes[i]!) return this.#kept[i]!.pop() ?? Buffer.allocUnsafeSlow(sizes[i]!)
    return Buffer.allocUnsafeSlow(size)
  }

  give(buffer: Buffer): void {
    const size = sizes.indexOf(buffer.length as never)
    if (size >= 0 && this.#kept[size]!.length < keptMax[size]!) this.#kept[size]!.push(buffer)
  }
}

type Piece = Buffer | PublishFrame

/** Collects the outboxes with something to say and flushes them together, once in each turn of the event loop. */
export class Flusher {
  readonly pool = new BufferPool()
  /** Calls to a transport's write, for the test that holds "one write per connection and turn". */
  writes = 0
  #dirty: Outbox[] = []
  #scheduled = false
  readonly #flush = () => this.flush()
  // The last batch that was put together, and of what: in a fan-out the next connection gets just the same, so 10,000
  // subscribers' messages of one turn are copied once and not 10,000 times (1 KiB each, four at a time: 5.2 → 2.4 µs of CPU a delivery).
  #batch = Buffer.allocUnsafeSlow(batchMin)
  #batchBytes = 0
  #batchPieces: readonly Piece[] = []
  #batchIds: readonly number[] = []
  // A transport still holds the batch: its bytes must stay.
  #batchLent = false

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
    // Keeps no message alive until the next turn.
    if (this.#batchPieces.length > 0) {
      this.#batchPieces = []
      this.#batchIds = []
    }
  }

  /** Writes several pieces at once. Returns whether the buffers among them may be used again. */
  write(transport: Transport, pieces: readonly Piece[], packetIds: readonly number[], bytes: number): boolean {
    this.writes += 1
    if (pieces.length === 1) {
      const piece = pieces[0]!
      if (!(piece instanceof PublishFrame)) return transport.write(piece)
      if (piece.payload === null && packetIds[0] === 0) {
        // Everybody's own bytes, which nobody changes: written where they lie.
        transport.write(piece.head)
        return true
      }
    }
    if (bytes > batchMax) return this.#writeApart(transport, pieces, packetIds)
    if (!this.#sameAsBatch(pieces, packetIds)) this.#makeBatch(pieces, packetIds, bytes)
    if (!transport.write(this.#batch.subarray(0, this.#batchBytes))) this.#batchLent = true
    // Whatever becomes of the batch, the pieces were copied.
    return true
  }

  #sameAsBatch(pieces: readonly Piece[], packetIds: readonly number[]): boolean {
    const last = this.#batchPieces
    if (last.length !== pieces.length) return false
    for (let i = 0; i < pieces.length; i++) {
      // A buffer is one connection's own, and may hold other bytes the next time.
      if (pieces[i] !== last[i] || packetIds[i] !== this.#batchIds[i] || !(pieces[i] instanceof PublishFrame)) return false
    }
    return true
  }

  #makeBatch(pieces: readonly Piece[], packetIds: readonly number[], bytes: number): void {
    if (this.#batchLent || this.#batch.length < bytes) {
      // Transports that never take bytes at once, TLS for one, get batches of the right size; others come to share a large one.
      const size = this.#batchLent ? bytes : Math.max(bytes, this.#batch.length * 2)
      this.#batch = Buffer.allocUnsafeSlow(Math.min(batchMax, Math.max(batchMin, size)))
      this.#batchLent = false
    }
    const batch = this.#batch
    let at = 0
    for (let i = 0; i < pieces.length; i++) {
      const piece = pieces[i]!
      if (!(piece instanceof PublishFrame)) {
        batch.set(piece, at)
        at += piece.length
        continue
      }
      const { head, payload } = piece
      batch.set(head, at)
      setPacketId(batch, at, piece, packetIds[i]!)
      at += head.length
      if (payload !== null) {
        batch.set(payload, at)
        at += payload.length
      }
    }
    this.#batchBytes = at
    this.#batchPieces = pieces
    this.#batchIds = packetIds
  }

  #writeApart(transport: Transport, pieces: readonly Piece[], packetIds: readonly number[]): boolean {
    const buffers: Buffer[] = []
    for (let i = 0; i < pieces.length; i++) {
      const piece = pieces[i]!
      if (!(piece instanceof PublishFrame)) {
        buffers.push(piece)
        continue
      }
      const packetId = packetIds[i]!
      const head = packetId === 0 ? piece.head : Buffer.from(piece.head)
      setPacketId(head, 0, piece, packetId)
      buffers.push(head)
      if (piece.payload !== null) buffers.push(piece.payload)
    }
    return transport.writeMany(buffers)
  }
}

function setPacketId(bytes: Buffer, at: number, frame: PublishFrame, packetId: number): void {
  if (packetId === 0) return
  bytes[at + frame.packetIdAt] = packetId >>> 8
  bytes[at + frame.packetIdAt + 1] = packetId & 0xff
}
