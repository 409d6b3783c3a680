import { createHash } from 'node:crypto'
import type { Message } from '../../core/messages/message.ts'
import type { AppendTarget, Done, ReceivedId, SessionKey } from '../../core/sessions/session-store.ts'
import type { Clock } from '../../core/time/clock.ts'
import type { Intention, PartStore } from '../kit/services/parts.ts'
import type { PartCalls } from './part-calls.ts'

/** What an append at another worker has brought besides. */
export interface Appended {
  readonly dropped: readonly (readonly [clientId: string, reason: 'queueFull' | 'expired' | 'sessionEnded' | 'storeFailed'])[]
  readonly lost: readonly SessionKey[]
}

/** One step at one part. */
export interface SpreadTerms {
  readonly self: string
  readonly own: PartStore
  readonly calls: PartCalls
  readonly clock: Clock
  /** The second step in this worker's own part. */
  once(message: Message, targets: readonly AppendTarget[], token: string): Done
  /** What the second step has brought at another worker. */
  appended(message: Message, targets: readonly AppendTarget[], answer: Appended): void
  /** The second step broke off at a part, which may have done it. */
  failed(targets: readonly AppendTarget[], error: Error): void
}

/**
 * What another worker has asked a part for is done within this time, or never will be: it waits for a part that is away for 15 s at most, and a worker that stands still is killed after 10 s.
 */
export const lateMs = 60_000

/**
 * A QoS 2 message of a stored session whose receivers lie in other parts than it does. No commit spans two parts, so it goes in three steps, each kept before the next begins: the
 * publisher's part keeps a token (`intend`), the parts of the receivers the message with the token, the publisher's part the packet identifier in place of it.
 */
export async function spreadAppend(
  terms: SpreadTerms,
  message: Message,
  body: Buffer,
  byHome: ReadonlyMap<string, readonly AppendTarget[]>,
  keeper: string,
  received: ReceivedId,
): Promise<void> {
  const { self, own, calls, once, appended, failed, clock } = terms
  const digest = createHash('sha256').update(body.subarray(10)).digest().toString('latin1', 0, 12)
  const { token, isRepeated } = (await (keeper === self
    ? own.lasting!.intend(received, digest)
    : calls.ask(keeper, 's.intend', received, digest))) as Intention
  const parts = [...byHome].filter(([, targets]) => targets.length > 0)
  const done = parts.map(([home, targets]): Done => {
    if (home === self) return once(message, targets, token)
    return calls.ask(home, 's.once', body, targets, token).then(
      answer => appended(message, targets, answer as Appended),
      error => {
        failed(targets, error as Error)
        throw error
      },
    )
  })
  await Promise.all(done)
  if (keeper === self) await own.append(message, [], received)
  else await calls.ask(keeper, 's.received', received)
  const through = (): void => {
    for (const [home, targets] of parts) {
      const clientIds = targets.map(({ clientId }) => clientId)
      if (home === self) own.lasting!.through(token, clientIds)
      // Where its worker is away, or this one dies before, the token is found to be needless later: see `forgetNeedlessTokens`.
      else calls.tell(home, 's.through', token, clientIds)
    }
  }
  // The worker that the publisher was connected to before may be on its way to the same parts yet.
  if (isRepeated) clock.after(lateMs, through)
  else through()
}
