import type { Turns } from '../connection/turns.ts'
import type { DropReason } from '../counter-names.ts'
import type { Message } from '../messages/message.ts'
import type { KnownSession } from './known-session.ts'
import type { SessionStore } from './session-store.ts'

/** What is used of the broker here. */
export interface ClearQueueHost {
  readonly sessions: SessionStore
  readonly turns: Turns
  drop(clientId: string, message: Message, reason: DropReason): void
}

const pageSize = 100

/** Takes out what waits for a session; what is on its way to its client stays. Resolves to how many messages that were; rejects as the store does. */
export async function clearQueue(host: ClearQueueHost, session: KnownSession): Promise<number> {
  const { clientId } = session
  const waited = session.queue?.sift(() => false) ?? []
  for (const { message } of waited) host.drop(clientId, message, 'cleared')
  let count = waited.length
  if (!session.durable) return count
  for (let position = 0; ; ) {
    const page = await host.sessions.page(session, position, pageSize)
    for (const entry of page) {
      position = entry.position
      if (entry.packetId !== 0) continue
      await host.sessions.remove(session, position)
      session.dropped(entry.message, 'cleared')
      host.drop(clientId, entry.message, 'cleared')
      count += 1
    }
    if (page.length < pageSize) return count
    await host.turns.next()
  }
}
