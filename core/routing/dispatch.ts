import type { Message } from '../messages/message.ts'
import type { Receipt } from '../messages/receipt.ts'
import type { KnownSession } from '../sessions/known-session.ts'
import type { AppendTarget } from '../sessions/session-store.ts'

/** One message on its way to all who are to have it: what its acknowledgement waits for, and the stored sessions among its receivers. */
export class Dispatch {
  readonly message: Message
  receipt: Receipt | null
  /** For the store; null where no stored session is to have it. */
  targets: AppendTarget[] | null
  #sessions: KnownSession[] | null

  constructor(message: Message, receipt: Receipt | null) {
    this.message = message
    this.receipt = receipt
    this.targets = null
    this.#sessions = null
  }

  add(session: KnownSession, target: AppendTarget): void {
    if (this.targets === null) {
      this.targets = [target]
      this.#sessions = [session]
    } else {
      this.targets.push(target)
      this.#sessions!.push(session)
    }
  }

  /** The store keeps it for all of them. */
  kept(): void {
    const { targets } = this
    if (targets === null) return
    const sessions = this.#sessions!
    for (let i = 0; i < targets.length; i++) sessions[i]!.kept(targets[i]!)
  }

  /** The store does not keep it, or was never asked: their packet identifiers are free again. */
  abandon(): void {
    const { targets } = this
    if (targets === null) return
    const sessions = this.#sessions!
    for (let i = 0; i < targets.length; i++) sessions[i]!.lost(this.message, targets[i]!)
  }
}
