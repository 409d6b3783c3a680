import type { Broker } from '../../core/broker.ts'
import type { Message } from '../../core/messages/message.ts'
import type { Receipt } from '../../core/messages/receipt.ts'
import { encodeMessage } from '../../core/messages/stored-message.ts'
import type { PickedMember } from '../../core/routing/dispatcher.ts'
import { Timing } from '../../core/timing.ts'
import type { Bus } from '../kit/services/bus.ts'
import { type Forwarded, pack } from './frames.ts'

/** What goes to one node in this turn, one way. */
interface Batch {
  readonly messages: Forwarded[]
  readonly receipts: Receipt[]
  bytes: number
}

const batchBytesMax = 1024 * 1024

/** Messages on their way to other nodes: those of one turn go together, and each node gets a message once, whatever it wants it for. */
export class Outgoing {
  readonly #bus: Bus
  readonly #broker: Broker
  readonly #kept = new Map<string, Batch>()
  readonly #told = new Map<string, Batch>()
  #scheduled = false
  // The last message that was encoded, so that many nodes cost one encoding.
  #encoded: Message | null = null
  #body: Buffer = Buffer.alloc(0)
  /** From handing a batch to the bus until it cannot be lost any more. */
  readonly timing: Timing
  /** Messages handed over, one for each node. */
  posted = 0
  told = 0

  constructor(broker: Broker, bus: Bus) {
    this.#broker = broker
    this.#bus = bus
    this.timing = new Timing(broker.clock)
  }

  /** To a node that keeps it until it has dealt with it; the publisher's acknowledgement waits. */
  post(node: string, message: Message, pick: PickedMember | null, receipt: Receipt): void {
    const batch = this.#batchOf(this.#kept, node)
    if (this.#add(batch, message, pick)) {
      receipt.hold()
      batch.receipts.push(receipt)
      this.posted += 1
    }
  }

  /** To a node at QoS 0. */
  tell(node: string, message: Message, pick: PickedMember | null): void {
    const kept = this.#kept.get(node)
    // It goes there already.
    if (kept !== undefined && this.#encoded === message && kept.messages.at(-1)?.body === this.#body) this.#add(kept, message, pick)
    else if (this.#add(this.#batchOf(this.#told, node), message, pick)) this.told += 1
  }

  #batchOf(batches: Map<string, Batch>, node: string): Batch {
    let batch = batches.get(node)
    if (batch !== undefined && batch.bytes >= batchBytesMax) {
      this.#send(batches, node, batch)
      batch = undefined
    }
    if (batch === undefined) batches.set(node, (batch = { messages: [], receipts: [], bytes: 0 }))
    if (!this.#scheduled) {
      this.#scheduled = true
      this.#broker.clock.turn(() => this.flush())
    }
    return batch
  }

  /** `false`: the node gets this very message already, and now for this too. */
  #add(batch: Batch, message: Message, pick: PickedMember | null): boolean {
    if (this.#encoded !== message) {
      this.#body = encodeMessage(message, 0, false, this.#bus.clockShift ?? 0)
      this.#encoded = message
    }
    const last = batch.messages.at(-1)
    if (last?.body === this.#body) {
      if (pick === null) last.plain = true
      else last.picks.push(pick)
      return false
    }
    batch.messages.push({ body: this.#body, plain: pick === null, picks: pick === null ? [] : [pick] })
    batch.bytes += this.#body.length
    return true
  }

  /** Sends what has been collected. */
  flush(): void {
    this.#scheduled = false
    this.#encoded = null
    for (const [node, batch] of [...this.#kept]) this.#send(this.#kept, node, batch)
    for (const [node, batch] of [...this.#told]) this.#send(this.#told, node, batch)
  }

  #send(batches: Map<string, Batch>, node: string, { messages, receipts }: Batch): void {
    batches.delete(node)
    const frame = pack(messages)
    if (batches === this.#told) {
      this.#bus.tell(node, frame)
      return
    }
    const posted = this.#bus.post(node, frame)
    this.timing.follow(posted)
    posted.then(
      () => {
        for (const receipt of receipts) receipt.release()
      },
      error => {
        this.#broker.report(error)
        for (const receipt of receipts) receipt.release(error as Error)
      },
    )
  }
}
