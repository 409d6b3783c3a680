import type { Message } from '../messages/message.ts'
import type { PublishVerdict } from '../refusals.ts'

/** A publish between its arrival and its routing. */
export interface PendingPublish {
  readonly message: Message
  readonly packetId: number
  /** As the client sent it: decides which acknowledgement it gets, whatever a plugin made of the message. */
  readonly qos: 0 | 1 | 2
  decided: boolean
  verdict: PublishVerdict | undefined
}
