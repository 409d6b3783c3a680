import type { BrokerCore } from '../../core/broker-core.ts'
import type { KnownSession } from '../../core/sessions/known-session.ts'

const pageSize = 100

/** Takes out what waits for a session; what is on its way to its client stays. Resolves to how many messages that were; rejects as the store does. */
export async function clearQueue(broker: BrokerCore, session: KnownSession): Promise<number> {
  const { clientId } = session
  const waited = session.queue?.sift(() => false) ?? []
  for (const { message } of waited) broker.drop(clientId, message, 'cleared')
  let count = waited.length
  if (!session.durable) return count
  for (let position = 0; ; ) {
    const page = await broker.sessions.page(session, position, pageSize)
    for (const entry of page) {
      position = entry.position
      if (entry.packetId !== 0) continue
      await broker.sessions.remove(session, position)
      session.dropped(entry.message, 'cleared')
      broker.drop(clientId, entry.message, 'cleared')
      count += 1
    }
    if (page.length < pageSize) return count
    await broker.turns.next()
  }
}
