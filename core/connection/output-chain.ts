import type { PublishFrame } from '../protocol/publish-frame.ts'

/** What can be written: a buffer that nobody changes any more, or a frame that several connections get. */
export type Piece = Buffer | PublishFrame

/**
 * What waits to be written to a connection in this turn: the last piece, and what stands before it. Connections that get the
 * same pieces in the same order hold the same chain, so that a delivery in a fan-out allocates nothing, and what was put
 * together for one connection is known to be what the next one gets.
 */
export class OutputChain {
  /** Null at the start, which has no piece. */
  readonly before: OutputChain | null
  readonly piece: Piece | null
  /** For a frame: the packet identifier that it gets here; 0 for none. */
  readonly packetId: number
  /** More than one connection has come this way. */
  shared: boolean
  /** All pieces as one, once they were put together; only where it is shared. */
  bytes: Buffer | null
  // The last two ways on from here: receivers have two formats, MQTT 5 and before.
  #last: OutputChain | null
  #other: OutputChain | null

  constructor(before: OutputChain | null, piece: Piece | null, packetId: number) {
    this.before = before
    this.piece = piece
    this.packetId = packetId
    this.shared = false
    this.bytes = null
    this.#last = null
    this.#other = null
  }

  /** One piece further. */
  step(piece: Piece, packetId: number): OutputChain {
    const last = this.#last
    if (last !== null && last.piece === piece && last.packetId === packetId) {
      last.shared = true
      return last
    }
    const other = this.#other
    if (other !== null && other.piece === piece && other.packetId === packetId) {
      other.shared = true
      return other
    }
    this.#other = last
    return (this.#last = new OutputChain(this, piece, packetId))
  }

  /** The pieces in order, each as the chain that ends in it; put into `into`. */
  collect(into: OutputChain[]): OutputChain[] {
    into.length = 0
    for (let at: OutputChain = this; at.before !== null; at = at.before) into.push(at)
    return into.reverse()
  }
}
