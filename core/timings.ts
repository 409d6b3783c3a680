import type { Figures } from './figures.ts'
import type { Message } from './messages/message.ts'
import type { Clock } from './time/clock.ts'
import { Timing } from './timing.ts'

/** How long what clients wait for takes. */
export class Timings {
  readonly #clock: Clock
  /** From CONNECT until CONNACK, of clients that are let in. */
  readonly connect: Timing
  /** From a publish until it is written to a subscriber. */
  readonly #delivery: Timing
  /** The next publish is timed. The tick sets it, so that the hot path asks a field and does not look at the clock. */
  due = false

  constructor(clock: Clock, figures: Figures) {
    this.#clock = clock
    this.connect = new Timing(clock)
    this.#delivery = new Timing(clock)
    figures.add(this.connect.figure('connect_seconds', 'From CONNECT until CONNACK, of clients that are let in.'))
    const help =
      'From reading a PUBLISH of a client until it is written for a subscriber, waiting in its queue included; four messages a second are timed.'
    figures.add(this.#delivery.figure('delivery_seconds', help))
  }

  /** This message is timed on its way to its subscribers. */
  begin(message: Message): void {
    this.due = false
    message.timedFrom = { at: this.#clock.now() }
  }

  /** It is written for one of them. */
  delivered({ at }: { readonly at: number }): void {
    this.#delivery.add((this.#clock.now() - at) / 1000)
  }
}
