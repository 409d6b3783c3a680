import type { QoS } from '../../core/protocol/constants.ts'

/** What a client did or saw, in its own order. Only what it *read* from its socket counts as received or acknowledged. */
export type FaultEvent =
  /** CONNACK was read. */
  | { readonly kind: 'connected'; readonly client: string; readonly sessionPresent: boolean }
  /** DISCONNECT was read: the broker sends away whom it can promise nothing. */
  | { readonly kind: 'dismissed'; readonly client: string; readonly reasonCode: number }
  /** The connection broke. */
  | { readonly kind: 'broken'; readonly client: string }
  /** PUBACK, or PUBREC, was read: from here on the broker must not lose it. */
  | { readonly kind: 'acknowledged'; readonly client: string; readonly topic: string; readonly sequence: number; readonly qos: QoS }
  /** PUBACK or PUBREC was read that says no: it may arrive or not, and is not sent again. */
  | { readonly kind: 'refused'; readonly client: string; readonly topic: string; readonly sequence: number; readonly reasonCode: number }
  /** What the store held is gone: `sent` of a topic is the first sequence that was sent afterwards. */
  | { readonly kind: 'emptied'; readonly client: string; readonly sent: ReadonlyMap<string, number> }
  /** PUBLISH was read. `fresh`: a QoS 2 client delivers it, since it has no message under this identifier; always so at QoS 1. */
  | ({ readonly kind: 'received'; readonly client: string; readonly fresh: boolean } & Arrival)
  /** PUBACK, or PUBREC, was written for it. */
  | ({ readonly kind: 'answered'; readonly client: string } & Arrival)

export interface Arrival {
  readonly topic: string
  readonly sequence: number
  readonly qos: QoS
  readonly packetId: number
  readonly dup: boolean
}

/** Everything that all clients of one run saw, in the order in which it happened to each. */
export class History {
  readonly events: FaultEvent[] = []
  #waiting: (() => void)[] = []
  #failure: Error | null = null

  add(event: FaultEvent): void {
    this.events.push(event)
    this.#wake()
  }

  /** A client saw what it cannot go on with: whoever waits is told. */
  fail(error: Error): void {
    this.#failure ??= error
    this.#wake()
  }

  /** Something else has changed that is waited for. */
  changed(): void {
    this.#wake()
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const wake of waiting) wake()
  }

  /** Waits until something is true that an event or `changed` tells of. */
  async until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) {
      if (this.#failure !== null) throw this.#failure
      await new Promise<void>(resolve => this.#waiting.push(resolve))
    }
  }

  /** Waits until so many more have been acknowledged. */
  acknowledgedMore(count: number): Promise<void> {
    const due = this.count('acknowledged') + Math.ceil(count)
    return this.until(() => this.count('acknowledged') >= due)
  }

  count(kind: FaultEvent['kind']): number {
    let count = 0
    for (const event of this.events) if (event.kind === kind) count += 1
    return count
  }
}
