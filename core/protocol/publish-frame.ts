/** The wire form of a PUBLISH whose first byte and packet identifier are still to be written, into each receiver's own copy. */
export class PublishFrame {
  /** What the packet lies in. */
  readonly bytes: Buffer
  /** Where in `bytes` the packet begins. */
  readonly start: number
  /** Bytes of the packet up to the payload, or of the whole of it. */
  readonly headLength: number
  /** The first byte; that of `head` may be another one's. */
  readonly header: number
  /** Where in `head` the packet identifier goes; -1 at QoS 0. */
  readonly packetIdAt: number
  /** Follows `head`; null where `head` holds it. */
  readonly payload: Buffer | null
  /** Nobody changes its bytes any more and `head` begins with `header`, so connections may refer to it instead of copying it. */
  readonly shared: boolean
  #head: Buffer | null

  constructor(
    bytes: Buffer,
    start: number,
    headLength: number,
    header: number,
    packetIdAt: number,
    payload: Buffer | null,
    shared: boolean,
  ) {
    this.bytes = bytes
    this.start = start
    this.headLength = headLength
    this.header = header
    this.packetIdAt = packetIdAt
    this.payload = payload
    this.shared = shared
    this.#head = null
  }

  // Made when it is asked for: a message to one receiver does without (35 ns).
  /** The packet up to the payload, or the whole of it. */
  get head(): Buffer {
    this.#head ??= this.bytes.subarray(this.start, this.start + this.headLength)
    return this.#head
  }

  /** Bytes of the whole packet. */
  get length(): number {
    return this.headLength + (this.payload === null ? 0 : this.payload.length)
  }

  /** A frame with the same bytes for several receivers; nobody may change them any more. */
  share(): PublishFrame {
    const { bytes, start, headLength, header, packetIdAt, payload } = this
    if (bytes[start] === header) return new PublishFrame(bytes, start, headLength, header, packetIdAt, payload, true)
    const head = Buffer.from(this.head)
    head[0] = header
    return new PublishFrame(head, 0, headLength, header, packetIdAt, payload, true)
  }
}
