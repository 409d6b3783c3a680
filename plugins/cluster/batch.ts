import type { Message } from '../../core/messages/message.ts'
import type { Receipt } from '../../core/messages/receipt.ts'
import type { PickedMember } from '../../core/routing/dispatcher.ts'
import type { Bus } from '../kit/services/bus.ts'
import { encodeMessage } from '../kit/stored-message.ts'
import { messageFormatOf } from './cluster-version.ts'
import { type Forwarded, pack } from './frames.ts'

/** What goes to one node in this turn, one way. */
export interface Batch {
  /** What waits until the node has it. */
  readonly receipts: Receipt[]
  /** Bytes of the messages so far. */
  readonly bytes: number
  /** The message that was added last. */
  readonly last: Message | null
  /** A message for a member of a shared group; null: for those whose own filters match. */
  add(message: Message, pick: PickedMember | null): void
  /** The last message is for this member too. `false`: there is no room for it, so the message is to be added again. */
  also(pick: PickedMember | null): boolean
  /** All of it as one frame; begins anew. */
  take(): Buffer
}

/** The last message that was encoded, so that many nodes cost one encoding. */
export class LastBody {
  readonly #bus: Bus
  #message: Message | null = null
  #body: Buffer = Buffer.alloc(0)
  // What all nodes read, as of this turn; 0: nobody has asked in this turn.
  #format = 0

  constructor(bus: Bus) {
    this.#bus = bus
  }

  of(message: Message): Buffer {
    if (this.#message !== message) {
      if (this.#format === 0) this.#format = messageFormatOf(this.#bus)
      this.#body = encodeMessage(message, 0, false, this.#bus.clockShift ?? 0, this.#format)
      this.#message = message
    }
    return this.#body
  }

  forget(): void {
    this.#message = null
    this.#format = 0
  }
}

/** Messages as stores keep them: nodes of several versions read that. */
export class StoredBatch implements Batch {
  readonly receipts: Receipt[] = []
  readonly #bodies: LastBody
  #messages: Forwarded[] = []
  bytes = 0
  last: Message | null = null

  constructor(bodies: LastBody) {
    this.#bodies = bodies
  }

  add(message: Message, pick: PickedMember | null): void {
    const body = this.#bodies.of(message)
    this.#messages.push({ body, plain: pick === null, picks: pick === null ? [] : [pick] })
    this.bytes += body.length
    this.last = message
  }

  also(pick: PickedMember | null): boolean {
    const last = this.#messages.at(-1)!
    if (pick === null) last.plain = true
    else last.picks.push(pick)
    return true
  }

  take(): Buffer {
    const frame = pack(this.#messages)
    this.#messages = []
    this.bytes = 0
    this.last = null
    return frame
  }
}
