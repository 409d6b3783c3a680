/** The wire form of a PUBLISH whose first byte and packet identifier are still to be written, into each receiver's own copy. */
export class PublishFrame {
  /** The packet up to the payload, or the whole of it. */
  readonly head: Buffer
  /** The first byte; that of `head` may be another one's. */
  readonly header: number
  /** Where in `head` the packet identifier goes; -1 at QoS 0. */
  readonly packetIdAt: number
  /** Follows `head`; null where `head` holds it. */
  readonly payload: Buffer | null
  /** Bytes of the whole packet. */
  readonly length: number
  /** Nobody changes its bytes any more and `head` begins with `header`, so connections may refer to it instead of copying it. */
  readonly shared: boolean

  constructor(head: Buffer, header: number, packetIdAt: number, payload: Buffer | null, length: number, shared: boolean) {
    this.head = head
    this.header = header
    this.packetIdAt = packetIdAt
    this.payload = payload
    this.length = length
    this.shared = shared
  }

  /** A frame with the same bytes for several receivers; nobody may change them any more. */
  share(): PublishFrame {
    const { header, packetIdAt, payload, length } = this
    let { head } = this
    if (head[0] !== header) {
      head = Buffer.from(head)
      head[0] = header
    }
    return new PublishFrame(head, header, packetIdAt, payload, length, true)
  }
}
