import type { Message } from './messages/message.ts'

/** Times what clients wait for. */
export interface Timings {
  /** The next publish is timed. The tick sets it, so that the hot path asks a field and does not look at the clock. */
  due: boolean
  /** From CONNECT until CONNACK, of clients that are let in. */
  readonly connect: { add(seconds: number): void }
  /** From handing a message to the store until it is kept, where that is not at once. */
  readonly store: { follow(done: Promise<unknown>): void }
  /** This message is timed on its way to its subscribers. */
  begin(message: Message): void
  /** It is written for one of them. */
  delivered(timed: { readonly at: number }): void
}
