import type { InboundPublish } from '../protocol/inbound-publish.ts'
import type { PublishVerdict } from '../refusals.ts'

/**
 * Counts what one client sends. A plugin sets it on `client.meter` in `onConnect`; where nobody does, nothing is counted. Both are
 * called in the middle of reading, so they must be quick and synchronous; they may pause the client's reading, or close it.
 */
export interface Meter {
  /** So many bytes have been read, and the packets that they completed have been handed on. */
  read(bytes: number): void
  /** A PUBLISH is about to be judged; a verdict is the end of that. Good until the call returns. */
  publish(publish: Readonly<InboundPublish>): PublishVerdict | undefined
}
