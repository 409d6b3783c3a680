import { Socket } from 'node:net'
import type { Transport, TransportEvents } from '../../core/connection/transport.ts'
import type { LocalTransport } from '../kit/services/local-sockets.ts'
import { RawTransport } from '../kit/transports/raw-transport.ts'
import { lentStream } from '../kit/transports/stream-binding.ts'
import { StreamTransport } from '../kit/transports/stream-transport.ts'

// A length, and a kind.
const headBytes = 5
// Frames of one step of the event loop are copied side by side, and leave in one write.
const chunkBytes = 65_536
const noBytes = Buffer.alloc(0)

export interface FrameLinkTerms {
  /** Takes a frame, whose bytes may be used again when the call is over; where it returns a promise, nothing more is read before that resolves. */
  take(kind: number, bytes: Buffer): void | Promise<void>
  /** The connection has ended. */
  closed?(): void
  /** Goes by the socket's own handle: what `usesHandles` said. */
  readonly handles: boolean
}

/** A connection that carries frames: a length, a kind, and bytes. What is written in one step of the event loop goes out together. */
export class FrameLink implements TransportEvents {
  readonly #end: Socket | LocalTransport
  readonly #terms: FrameLinkTerms
  readonly #reader: FrameReader
  // Null while it connects, and when it is closed.
  #transport: Transport | null
  #closed: boolean
  // Chunks that are full, and what has been written of the last one.
  #full: Buffer[]
  #chunk: Buffer
  #used: number
  #bytes: number
  #scheduled: boolean
  // Nothing more is written; it ends when all has left.
  #ending: boolean
  // Who waits until the kernel has what is here, and what has been handed to the transport.
  #done: (() => void)[]
  #leaving: (() => void)[]
  readonly #flush = (): void => {
    this.#scheduled = false
    this.#send()
  }

  constructor(end: Socket | LocalTransport, terms: FrameLinkTerms) {
    this.#end = end
    this.#terms = terms
    this.#reader = new FrameReader(terms.take, reads => (reads ? this.#transport?.resume() : this.#transport?.pause()))
    this.#transport = null
    this.#closed = false
    this.#full = []
    this.#chunk = noBytes
    this.#used = 0
    this.#bytes = 0
    this.#scheduled = false
    this.#ending = false
    this.#done = []
    this.#leaving = []
    if (!(end instanceof Socket)) {
      this.#transport = end
      end.listen(this)
      return
    }
    // What goes wrong ends it, and its end is told.
    end.on('error', nothing)
    if (end.connecting) {
      end.once('close', () => this.onClose())
      end.once('connect', () => this.#open(end))
    } else this.#open(end)
  }

  #open(socket: Socket): void {
    const lent = this.#terms.handles ? lentStream(socket) : null
    if (lent === null) {
      const stream = new StreamTransport(socket, { protocol: 'unix', listener: 'localBus', takesBytes: true })
      this.#transport = stream
      stream.listen(this)
    } else {
      const raw = new RawTransport(lent.handle, lent.binding, {
        protocol: 'unix',
        listener: 'localBus',
        lender: socket,
        unnamed: true,
      })
      this.#transport = raw
      const early = socket.read() as Buffer | null
      raw.start(this)
      if (early !== null) this.onData(early, 0, early.length)
    }
    this.#send()
    if (this.#ending && this.#bytes === 0) this.#transport?.end()
  }

  /** Bytes that the kernel has not taken yet. */
  get waiting(): number {
    return this.#bytes + (this.#transport?.bufferedBytes ?? 0)
  }

  /** `bytes` belong to the link from here on. `done`: the kernel has all of it, or never will. */
  write(kind: number, bytes: Buffer, done?: () => void): void {
    if (this.#closed) {
      if (done !== undefined) process.nextTick(done)
      return
    }
    const size = bytes.length
    const isApart = size > chunkBytes / 2
    this.#reserve(isApart ? headBytes : headBytes + size)
    const chunk = this.#chunk
    let at = this.#used
    chunk[at] = size >>> 24
    chunk[at + 1] = size >>> 16
    chunk[at + 2] = size >>> 8
    chunk[at + 3] = size
    chunk[at + 4] = kind
    at += headBytes
    if (isApart) {
      this.#used = at
      this.#seal()
      this.#full.push(bytes)
    } else {
      chunk.set(bytes, at)
      this.#used = at + size
    }
    this.#bytes += headBytes + size
    if (done !== undefined) this.#done.push(done)
    if (this.#scheduled) return
    this.#scheduled = true
    process.nextTick(this.#flush)
  }

  #reserve(size: number): void {
    if (this.#used + size <= this.#chunk.length) return
    if (this.#used > 0) this.#seal()
    this.#chunk = Buffer.allocUnsafeSlow(chunkBytes)
  }

  #seal(): void {
    this.#full.push(this.#chunk.subarray(0, this.#used))
    this.#chunk = this.#chunk.subarray(this.#used)
    this.#used = 0
  }

  #send(): void {
    const transport = this.#transport
    // What waits goes behind what the kernel has not taken yet.
    if (transport === null || this.#bytes === 0 || transport.bufferedBytes > 0) return
    this.#bytes = 0
    const done = this.#done
    if (done.length > 0) {
      this.#done = []
      this.#leaving.push(...done)
    }
    if (this.#full.length === 0) {
      if (!transport.write(this.#chunk.subarray(0, this.#used))) this.#chunk = noBytes
      this.#used = 0
    } else {
      if (this.#used > 0) this.#seal()
      const buffers = this.#full
      this.#full = []
      this.#chunk = noBytes
      transport.writeMany(buffers)
    }
    if (transport.bufferedBytes === 0) this.#left()
  }

  #left(): void {
    const left = this.#leaving
    if (left.length === 0) return
    this.#leaving = []
    for (let i = 0; i < left.length; i++) left[i]!()
  }

  onData(chunk: Buffer, start: number, end: number): void {
    this.#reader.read(chunk, start, end)
  }

  onDrain(): void {
    this.#left()
    this.#send()
    if (this.#ending && this.#bytes === 0) this.#transport?.end()
  }

  onClose(): void {
    if (this.#closed) return
    this.#closed = true
    this.#transport = null
    this.#leaving.push(...this.#done)
    this.#done = []
    this.#full = []
    this.#chunk = noBytes
    this.#used = 0
    this.#bytes = 0
    this.#left()
    this.#terms.closed?.()
  }

  /** Ends it when what was written has gone out. */
  end(): void {
    this.#ending = true
    this.#send()
    if (this.#bytes === 0) this.#transport?.end()
  }

  destroy(): void {
    if (this.#transport === null) this.#end.destroy()
    else this.#transport.destroy()
  }
}

/** Makes frames of what comes. A frame is taken where it was read, as far as it came in one piece. */
class FrameReader {
  readonly #take: FrameLinkTerms['take']
  readonly #reads: (on: boolean) => void
  // A frame of which the rest is yet to come, or what came behind one that takes time.
  #kept: Buffer
  #end: number
  #isHeld: boolean

  /** `reads`: reading goes on, or stops. */
  constructor(take: FrameLinkTerms['take'], reads: (on: boolean) => void) {
    this.#take = take
    this.#reads = reads
    this.#kept = noBytes
    this.#end = 0
    this.#isHeld = false
  }

  read(chunk: Buffer, start: number, end: number): void {
    if (this.#isHeld) return this.#keep(chunk, start, end)
    let at = start
    // What a frame lacks whose beginning is here already.
    while (this.#end > 0) {
      const lacks = this.#lacks()
      if (lacks > end - at) return this.#keep(chunk, at, end)
      this.#keep(chunk, at, at + lacks)
      at += lacks
      // Its length is known only now.
      if (this.#lacks() > 0) continue
      const frame = this.#kept.subarray(0, this.#end)
      this.#kept = noBytes
      this.#end = 0
      this.#run(frame, 0, frame.length)
      if (this.#isHeld) return this.#keep(chunk, at, end)
    }
    this.#run(chunk, at, end)
  }

  #lacks(): number {
    return (this.#end < headBytes ? headBytes : headBytes + this.#kept.readUInt32BE()) - this.#end
  }

  #run(bytes: Buffer, start: number, end: number): void {
    let at = start
    while (end - at >= headBytes) {
      const next = at + headBytes + bytes.readUInt32BE(at)
      if (next > end) break
      const taken = this.#take(bytes[at + 4]!, bytes.subarray(at + headBytes, next))
      at = next
      if (taken === undefined) continue
      this.#hold(taken)
      break
    }
    if (at < end) this.#keep(bytes, at, end)
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    const needed = this.#end + end - start
    if (needed > this.#kept.length) {
      // As long as the frame will be, where that is known, so that it is copied once.
      const known = this.#end > 0 ? this.#kept.subarray(0, this.#end) : bytes.subarray(start, end)
      const frame = known.length >= headBytes && !this.#isHeld ? headBytes + known.readUInt32BE() : 0
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, frame, this.#kept.length * 2))
      larger.set(this.#kept.subarray(0, this.#end))
      this.#kept = larger
    }
    this.#kept.set(bytes.subarray(start, end), this.#end)
    this.#end = needed
  }

  #hold(taken: Promise<void>): void {
    this.#isHeld = true
    this.#reads(false)
    void taken.then(() => {
      this.#isHeld = false
      const kept = this.#kept
      const end = this.#end
      this.#kept = noBytes
      this.#end = 0
      if (end > 0) this.#run(kept, 0, end)
      if (!this.#isHeld) this.#reads(true)
    })
  }
}

function nothing(): void {}
