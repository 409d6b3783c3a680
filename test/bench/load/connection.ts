import net from 'node:net'

/** What a load connection hears, told without allocating. */
export interface Listener {
  /** A PUBLISH has come; the payload stands in `bytes` from `at` to `end`, for the length of this call. */
  delivered(connection: Connection, bytes: Buffer, at: number, end: number): void
  /** A publish of ours is acknowledged: PUBACK or PUBCOMP. */
  acked(connection: Connection): void
  /** The socket takes bytes again. */
  drained(connection: Connection): void
  closed(connection: Connection, error: Error | undefined): void
}

// One buffer serves every connection: read and parse are one synchronous step.
const readBuffer = Buffer.allocUnsafeSlow(65_536)
const outSize = 65_536
const spare: Buffer[] = []

// Connections with something to write; all of one turn of the event loop leaves in one write each.
let dirty: Connection[] = []
function flushAll(): void {
  const flushing = dirty
  dirty = []
  for (const connection of flushing) connection.flush()
}

/** A raw MQTT 3.1.1 connection that does no more than a load needs: it counts, acknowledges and writes prepared packets. */
export class Connection {
  readonly index: number
  readonly #listener: Listener
  readonly #socket: net.Socket
  readonly #opened: Promise<void>
  #partial: Buffer | null = null
  // A large packet of which the beginning has come, how much of it is there, and the buffer of the last one.
  #whole: Buffer | null = null
  #filled = 0
  #spareWhole: Buffer | null = null
  #out: Buffer | null = null
  #used = 0
  #answers: { type: number; resolve: () => void }[] = []
  /** The kernel has not taken all that was written. */
  blocked = false

  constructor(port: number, index: number, listener: Listener, localAddress?: string) {
    this.index = index
    this.#listener = listener
    this.#socket = net.connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      ...(localAddress === undefined ? {} : { localAddress }),
      onread: {
        buffer: readBuffer,
        callback: size => {
          this.#read(size)
          return true
        },
      },
    })
    this.#socket.on('drain', () => {
      this.blocked = false
      listener.drained(this)
    })
    this.#opened = new Promise((resolve, reject) => {
      this.#socket.once('connect', resolve)
      this.#socket.once('error', reject)
    })
    let failed: Error | undefined
    this.#socket.on('error', error => {
      failed = error
    })
    this.#socket.on('close', () => listener.closed(this, failed))
  }

  /** Sends CONNECT and waits for CONNACK. */
  async connect(packet: Buffer): Promise<void> {
    await this.#opened
    await this.ask(packet, 2)
  }

  /** Sends one packet and waits for an answer of that type. */
  ask(packet: Buffer, answer: number): Promise<void> {
    const answered = new Promise<void>(resolve => this.#answers.push({ type: answer, resolve }))
    this.#socket.write(packet)
    return answered
  }

  /** Sends bytes at once. */
  say(bytes: Buffer): void {
    this.#socket.write(bytes)
  }

  /** Room for `size` bytes of this turn's write; the caller fills it at the returned offset of `buffer`. */
  reserve(size: number): number {
    if (this.#out === null || this.#used + size > this.#out.length) {
      this.flush()
      if (dirty.push(this) === 1) setImmediate(flushAll)
      this.#out = size > outSize ? Buffer.allocUnsafeSlow(size) : (spare.pop() ?? Buffer.allocUnsafeSlow(outSize))
    }
    const at = this.#used
    this.#used += size
    return at
  }

  get buffer(): Buffer {
    return this.#out!
  }

  flush(): void {
    const out = this.#out
    if (out === null || this.#used === 0) return
    this.#socket.write(out.subarray(0, this.#used))
    if (this.#socket.writableLength === 0) {
      if (out.length === outSize) spare.push(out)
    } else {
      this.blocked = true
    }
    this.#out = null
    this.#used = 0
  }

  /** Stops reading: a frozen client. */
  freeze(): void {
    this.#socket.pause()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #read(size: number): void {
    let bytes = readBuffer
    let at = 0
    let end = size
    if (this.#whole !== null) {
      at = this.#fill(this.#whole, size)
      if (at === 0) return
    } else if (this.#partial !== null) {
      bytes = Buffer.concat([this.#partial, readBuffer.subarray(0, size)])
      end = bytes.length
      this.#partial = null
    }
    while (at < end) {
      const next = this.#packet(bytes, at, end)
      if (next === 0) return this.#keep(bytes, at, end)
      at = next
    }
  }

  // A packet larger than one read is gathered in a buffer of its size, which the next one of that size gets too: a load that copied it
  // again with each read would be slower than the broker.
  #keep(bytes: Buffer, at: number, end: number): void {
    const size = sizeOf(bytes, at, end)
    if (size <= readBuffer.length) {
      this.#partial = Buffer.from(bytes.subarray(at, end))
      return
    }
    this.#whole = this.#spareWhole?.length === size ? this.#spareWhole : Buffer.allocUnsafeSlow(size)
    this.#spareWhole = null
    this.#filled = bytes.copy(this.#whole, 0, at, end)
  }

  // Returns how much of what was read belongs to the packet that is gathered, 0 where more is to come.
  #fill(whole: Buffer, size: number): number {
    const taken = readBuffer.copy(whole, this.#filled, 0, size)
    this.#filled += taken
    if (this.#filled < whole.length) return 0
    this.#whole = null
    this.#spareWhole = whole
    this.#packet(whole, 0, whole.length)
    return taken
  }

  // Reads one packet; returns where it ends, 0 where it is not all there.
  #packet(bytes: Buffer, start: number, end: number): number {
    let at = start + 1
    let length = 0
    for (let shift = 0; ; shift += 7) {
      if (at >= end) return 0
      const byte = bytes[at]!
      at += 1
      length |= (byte & 0x7f) << shift
      if (byte < 0x80) break
    }
    const next = at + length
    if (next > end) return 0
    const header = bytes[start]!
    switch (header >> 4) {
      case 3: {
        const qos = (header >> 1) & 3
        let payload = at + 2 + bytes.readUInt16BE(at)
        if (qos > 0) {
          this.#answer(qos === 1 ? 0x40 : 0x50, bytes[payload]!, bytes[payload + 1]!)
          payload += 2
        }
        this.#listener.delivered(this, bytes, payload, next)
        break
      }
      case 4:
      case 7:
        this.#listener.acked(this)
        break
      case 5:
        this.#answer(0x62, bytes[at]!, bytes[at + 1]!)
        break
      case 6:
        this.#answer(0x70, bytes[at]!, bytes[at + 1]!)
        break
      default:
        this.#answered(header >> 4)
    }
    return next
  }

  #answer(header: number, high: number, low: number): void {
    const at = this.reserve(4)
    const out = this.#out!
    out[at] = header
    out[at + 1] = 2
    out[at + 2] = high
    out[at + 3] = low
  }

  #answered(type: number): void {
    const index = this.#answers.findIndex(answer => answer.type === type)
    if (index < 0) return
    const [answer] = this.#answers.splice(index, 1)
    answer!.resolve()
  }
}

/** The bytes of a whole packet of which the beginning is there; 0 where not even that tells. */
function sizeOf(bytes: Buffer, start: number, end: number): number {
  let length = 0
  for (let at = start + 1, shift = 0; at < end; at++, shift += 7) {
    length |= (bytes[at]! & 0x7f) << shift
    if (bytes[at]! < 0x80) return at + 1 - start + length
  }
  return 0
}
