import type { Message } from '../messages/message.ts'
import type { DeliveryTerms } from '../routing/delivery-terms.ts'

/** Where the handshake of one outbound message stands. */
export const Handshake = {
  Free: 0,
  /** The store has not yet said that the packet identifier is kept. */
  Gated: 1,
  AwaitPuback: 2,
  AwaitPubrec: 3,
  /** PUBREC has come, and the store has not yet said that it knows. */
  Releasing: 4,
  AwaitPubcomp: 5,
} as const
export type Handshake = (typeof Handshake)[keyof typeof Handshake]

/** One outbound message that is not yet acknowledged. Slots are used again, so steady traffic allocates none. */
export class Inflight {
  packetId = 0
  message: Message | null = null
  /** How it is sent; null while the slot is free. */
  terms: DeliveryTerms | null = null
  handshake: Handshake = Handshake.Free
  /** Rises with each message put in flight: identifiers alone do not tell the order once one is never acknowledged. */
  turn = 0

  /** Puts what is sent into the slot. */
  fill(message: Message, terms: DeliveryTerms): this {
    this.message = message.own()
    this.terms = terms
    return this
  }
}

const firstSlots = 16
const packetIdMax = 65_535

/**
 * The outbound messages in flight of one connection, by packet identifier. A ring of slots: identifiers rise, and one whose
 * slot is taken by an older unacknowledged message is skipped. Idle connections have no slots at all.
 */
export class Window {
  #slots: Inflight[] = []
  #lastId = 0
  #turns = 0
  /** Messages in flight. */
  count = 0
  /** How many the client and the broker allow: the smaller of Receive Maximum and `mqtt.inflightMax`. */
  readonly limit: number

  constructor(limit: number) {
    this.limit = limit
  }

  get hasRoom(): boolean {
    return this.count < this.limit
  }

  /** Takes a slot under the next free packet identifier. Only where `hasRoom`. */
  open(): Inflight {
    if (this.count * 2 >= this.#slots.length) this.#grow()
    const slots = this.#slots
    const mask = slots.length - 1
    let id = this.#lastId
    do id = id === packetIdMax ? 1 : id + 1
    while (slots[id & mask]!.handshake !== Handshake.Free)
    return this.#occupy(slots[id & mask]!, id)
  }

  /** Takes a slot under an identifier that an earlier connection gave. */
  reopen(packetId: number): Inflight {
    if (this.find(packetId) !== undefined) throw new RangeError(`packet identifier ${packetId} is in flight already`)
    while (this.#slots.length === 0 || this.#slots[packetId & (this.#slots.length - 1)]!.handshake !== Handshake.Free) this.#grow()
    return this.#occupy(this.#slots[packetId & (this.#slots.length - 1)]!, packetId)
  }

  find(packetId: number): Inflight | undefined {
    const slot = this.#slots[packetId & (this.#slots.length - 1)]
    return slot !== undefined && slot.packetId === packetId && slot.handshake !== Handshake.Free ? slot : undefined
  }

  /** The slot of a message that the store has not yet kept. */
  gated(message: Message): Inflight | undefined {
    return this.#slots.find(slot => slot.handshake === Handshake.Gated && slot.message === message)
  }

  close(slot: Inflight): void {
    slot.handshake = Handshake.Free
    slot.packetId = 0
    slot.message = null
    slot.terms = null
    this.count -= 1
  }

  /** All in flight, in the order in which they were sent. */
  entries(): Inflight[] {
    return this.#slots.filter(slot => slot.handshake !== Handshake.Free).sort((a, b) => a.turn - b.turn)
  }

  #occupy(slot: Inflight, packetId: number): Inflight {
    slot.packetId = packetId
    slot.handshake = Handshake.Gated
    slot.turn = ++this.#turns
    this.#lastId = packetId
    this.count += 1
    return slot
  }

  #grow(): void {
    const old = this.#slots
    const size = old.length === 0 ? firstSlots : old.length * 2
    const slots: Inflight[] = new Array(size)
    for (const slot of old) if (slot.handshake !== Handshake.Free) slots[slot.packetId & (size - 1)] = slot
    for (let i = 0; i < size; i++) slots[i] ??= new Inflight()
    this.#slots = slots
  }
}
