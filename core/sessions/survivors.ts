import type { Message } from '../messages/message.ts'
import type { KnownSession } from './known-session.ts'
import type { SurvivingSession } from './session-store.ts'
import { Handshake } from './window.ts'

/** What is known here of the stored sessions whose clients are connected: enough to write them again to a store that has lost them. */
export function* survivors(sessions: Iterable<KnownSession>): Iterable<SurvivingSession> {
  for (const session of sessions) {
    const { clientId, epoch, client, durable, expiryMs, username, temporary } = session
    if (client === null || !durable) continue
    const receivedIds: number[] = []
    for (const [packetId, answer] of session.received ?? []) if (answer !== 'pending') receivedIds.push(packetId)
    yield {
      key: { clientId, epoch },
      user: username,
      expiryMs,
      will: client.will,
      subscriptions: [...session.subscriptions.values()].filter(({ filter }) => temporary?.has(filter) !== true),
      receivedIds,
      inFlight: (session.window?.entries() ?? []).map(({ packetId, message, terms, handshake }) => ({
        packetId,
        message: message as Message | null,
        qos: terms?.qos ?? 2,
        retain: terms?.retain ?? false,
        identifiers: terms?.identifiers ?? null,
        group: terms?.group ?? null,
        released: handshake >= Handshake.Releasing,
        asked: handshake === Handshake.Gated,
      })),
    }
  }
}
