import type { Message } from '../../core/messages/message.ts'
import type { Clock } from '../../core/time/clock.ts'
import type { Timings } from '../../core/timings.ts'
import type { Figure } from '../../plugins/kit/figures.ts'
import { Timing } from '../../plugins/kit/timing.ts'

/** How long what clients wait for takes, as figures. */
export class MeasuredTimings implements Timings {
  readonly #clock: Clock
  readonly #delivery: Timing
  readonly connect: Timing
  readonly store: Timing
  due = false

  constructor(clock: Clock) {
    this.#clock = clock
    this.#delivery = new Timing(clock)
    this.connect = new Timing(clock)
    this.store = new Timing(clock, 16)
  }

  begin(message: Message): void {
    this.due = false
    message.timedFrom = { at: this.#clock.now() }
  }

  delivered({ at }: { readonly at: number }): void {
    this.#delivery.add((this.#clock.now() - at) / 1000)
  }

  get figures(): readonly Figure[] {
    const kept = 'From handing a message to the store until it is kept, where that is not at once; one of 16 is timed.'
    const written =
      'From reading a PUBLISH of a client until it is written for a subscriber, waiting in its queue included; four messages a second are timed.'
    return [
      this.store.figure('store_seconds', kept),
      this.connect.figure('connect_seconds', 'From CONNECT until CONNACK, of clients that are let in.'),
      this.#delivery.figure('delivery_seconds', written),
    ]
  }
}
