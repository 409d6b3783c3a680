import type { Rights } from '../hooks.ts'
import type { Message } from '../messages/message.ts'
import type { Receipt } from '../messages/receipt.ts'
import type { QoS } from '../protocol/constants.ts'
import type { Subscription } from '../routing/subscription.ts'
import type { Whom } from '../sessions/authority.ts'
import type { Session } from '../sessions/session.ts'

/** What the broker asks of whoever connects it with other nodes. */
export interface Forwarder {
  /**
   * A shared group's member that was picked here is connected at another node (`session.elsewhere`): brings it the message. Returns the
   * receipt, held where that node has to have it first.
   */
  toMember(message: Message, session: Session, group: string, qos: QoS, receipt: Receipt | null): Receipt | null
  /** Rights were changed here. */
  rightsChanged(whom: Whom, rights: Rights | null): void
  /** A client of this id is to be disconnected, wherever it is. */
  kicked(clientId: string): void
  /** A client has got its session and is about to be told; its connections at other nodes must end. */
  connected(session: Session): void
  /** Its connection has ended. */
  disconnected(session: Session): void
  /** A session that is connected here has a subscription more, in place of `before` where it had that filter. */
  subscribed(session: Session, subscription: Subscription, before: Subscription | undefined): void
  /** …or one less. */
  unsubscribed(session: Session, subscription: Subscription): void
}
