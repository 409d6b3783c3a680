import type { Hooks } from '../../core/hooks.ts'
import { Stage } from '../../core/hooks.ts'
import type { Message } from '../../core/messages/message.ts'
import type { Receipt } from '../../core/messages/receipt.ts'
import type { Clock } from '../../core/time/clock.ts'
import type { Waiting } from './backlog.ts'

// Less than the time that a tap may take (mqtt.verdictTimeout). A disk that takes longer is waited for when the message is routed.
const keepFirstMs = 1000

/** A message of QoS 2 that was put where it has to be before it is routed. */
export interface KeptMessage {
  /** Resolves when it is there. */
  readonly kept: Promise<unknown>
  /** Resolves when its publisher may have the acknowledgement; rejects where it must not. */
  readonly acknowledged: Promise<unknown>
}

/**
 * Sees that messages of QoS 2 lie in a queue on disk before they are routed. Their identifiers are remembered by another store than that queue: where the broker is killed between
 * the two, the repeat of the publisher is taken for a message that was routed, and would be lost.
 */
export class KeptFirst {
  readonly #name: string
  readonly #kept: WeakMap<Message, KeptMessage>

  /** `keep`: puts a message of QoS 2 into the queues that it goes to; null: it goes to none. */
  constructor(hooks: Hooks, clock: Clock, name: string, keep: (message: Message) => KeptMessage | null) {
    this.#name = name
    this.#kept = new WeakMap()
    // Behind every other, so that nobody refuses the message afterwards.
    hooks.onPublish.tapAsync({ name, stage: Stage.Observe + 100 }, (_publisher, message, answer) => {
      const kept = message.qos < 2 ? null : keep(message)
      if (kept === null) return answer(null)
      this.#kept.set(message, kept)
      let waits = true
      const goOn = (): void => {
        timer.cancel()
        if (waits) answer(null)
        waits = false
      }
      const timer = clock.after(keepFirstMs, goOn)
      // Why it is not kept is heard when it is routed.
      kept.acknowledged.catch(() => {})
      kept.kept.then(goOn, goOn)
    })
  }

  /** In `onRoute`: whether the message was put into its queues before; its publisher's acknowledgement waits as `KeptMessage` says. */
  holds(message: Message, receipt: Receipt): boolean {
    const kept = message.qos === 2 ? this.#kept.get(message) : undefined
    if (kept === undefined) return false
    const release = receipt.hold(this.#name)
    kept.acknowledged.then(() => release(), release)
    return true
  }
}

/** Resolves when a queue has what it is offered, for whoever has no publisher's receipt; rejects with why it has not. */
export function whenKept(offer: (receipt: Waiting) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const release = (error?: Error): void => (error === undefined ? resolve() : reject(error))
    offer({ holdAs: () => {}, release })
  })
}
