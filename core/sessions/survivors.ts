import { DeliveryTerms } from '../routing/delivery-terms.ts'
import type { KnownSession } from './known-session.ts'
import type { SurvivingSession } from './session-store.ts'
import { Handshake } from './window.ts'

const noTerms = new DeliveryTerms(2, false, null, null)

/** What is known here of the stored sessions whose clients are connected: enough to write them again to a store that has lost them. */
export function* survivors(sessions: Iterable<KnownSession>): Iterable<SurvivingSession> {
  for (const { clientId, epoch, client, durable, expiryMs, owner: user, subscriptions, temporary, received, window } of sessions) {
    if (client === null || !durable) continue
    yield {
      key: { clientId, epoch },
      user,
      expiryMs,
      will: client.will,
      subscriptions: [...subscriptions.values()].filter(({ filter }) => temporary?.has(filter) !== true),
      receivedIds: [...(received ?? [])].flatMap(([packetId, answer]) => (answer === 'pending' ? [] : [packetId])),
      inFlight: (window?.entries() ?? []).map(({ packetId, message, terms, handshake }) => {
        const { qos, retain, identifiers, group } = terms ?? noTerms
        const [released, asked] = [handshake >= Handshake.Releasing, handshake === Handshake.Gated]
        return { packetId, message, qos, retain, identifiers, group, released, asked }
      }),
    }
  }
}
