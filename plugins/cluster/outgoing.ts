import type { Broker } from '../../core/broker.ts'
import type { Message } from '../../core/messages/message.ts'
import type { Receipt } from '../../core/messages/receipt.ts'
import type { PickedMember } from '../../core/routing/dispatcher.ts'
import type { Bus } from '../kit/services/bus.ts'
import { Timing } from '../kit/timing.ts'
import { type Batch, LastBody, StoredBatch } from './batch.ts'
import { WireBatch } from './wire-batch.ts'

const batchBytesMax = 1024 * 1024

/** Messages on their way to other nodes: those of one turn go together, and each node gets a message once, whatever it wants it for. */
export class Outgoing {
  readonly #bus: Bus
  readonly #broker: Broker
  readonly #kept = new Map<string, Batch>()
  readonly #told = new Map<string, Batch>()
  readonly #bodies: LastBody
  readonly #flush = (): void => this.flush()
  #scheduled = false
  /** From handing a batch to the bus until it cannot be lost any more. */
  readonly timing: Timing
  /** Messages handed over, one for each node. */
  posted = 0
  told = 0

  constructor(broker: Broker, bus: Bus) {
    this.#broker = broker
    this.#bus = bus
    this.#bodies = new LastBody(bus)
    this.timing = new Timing(broker.clock)
  }

  /** To a node that keeps it until it has dealt with it; the publisher's acknowledgement waits. */
  post(node: string, message: Message, pick: PickedMember | null, receipt: Receipt): void {
    const batch = this.#batchOf(this.#kept, node)
    if (this.#add(batch, message, pick)) {
      receipt.holdAs('cluster')
      batch.receipts.push(receipt)
      this.posted += 1
    }
  }

  /** To a node at QoS 0. */
  tell(node: string, message: Message, pick: PickedMember | null): void {
    // It goes there already.
    const kept = this.#kept.get(node)
    if (kept?.last === message && kept.also(pick)) return
    if (this.#add(this.#batchOf(this.#told, node), message, pick)) this.told += 1
  }

  #batchOf(batches: Map<string, Batch>, node: string): Batch {
    let batch = batches.get(node)
    if (batch === undefined) batches.set(node, (batch = this.#newBatch()))
    else if (batch.bytes >= batchBytesMax) this.#send(batches === this.#told, node, batch)
    if (!this.#scheduled) {
      this.#scheduled = true
      this.#broker.clock.turn(this.#flush)
    }
    return batch
  }

  #newBatch(): Batch {
    return this.#bus.near === true ? new WireBatch() : new StoredBatch(this.#bodies)
  }

  /** `false`: the node gets this very message already, and now for this too. */
  #add(batch: Batch, message: Message, pick: PickedMember | null): boolean {
    if (batch.last === message && batch.also(pick)) return false
    batch.add(message, pick)
    return true
  }

  /** A node has gone: nothing more is for it. */
  left(node: string): void {
    this.flush()
    this.#kept.delete(node)
    this.#told.delete(node)
  }

  /** Sends what has been collected. */
  flush(): void {
    this.#scheduled = false
    this.#bodies.forget()
    for (const [node, batch] of this.#kept) if (batch.bytes > 0) this.#send(false, node, batch)
    for (const [node, batch] of this.#told) if (batch.bytes > 0) this.#send(true, node, batch)
  }

  #send(told: boolean, node: string, batch: Batch): void {
    const frame = batch.take()
    if (told) {
      this.#bus.tell(node, frame)
      return
    }
    const receipts = batch.receipts.splice(0)
    const posted = this.#bus.post(node, frame)
    this.timing.follow(posted)
    posted.then(
      () => {
        for (const receipt of receipts) receipt.release(undefined, 'cluster')
      },
      error => {
        this.#broker.report(error)
        for (const receipt of receipts) receipt.release(error as Error, 'cluster')
      },
    )
  }
}
