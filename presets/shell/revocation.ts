import type { Revoked } from '../../core/publisher.ts'
import { SessionOwnedError } from '../../core/sessions/session-store.ts'
import type { WholeBroker } from './whole-broker.ts'

const pageMax = 200

/** Takes a user or a client away: see `PluginContext.revoke`. */
export function revoke(broker: WholeBroker, whom: Revoked, { keepSession = false }: { readonly keepSession?: boolean } = {}): number {
  const count = broker.applyRevoke(whom, keepSession)
  broker.hooks.onOperated.call({ verb: 'revoke', whom, keepSession })
  if (!keepSession) endStored(broker, whom).catch(error => broker.report(error))
  return count
}

/** Ends the stored sessions that have no connection, a page of them at a time, without their wills. */
async function endStored(broker: WholeBroker, whom: Revoked): Promise<void> {
  if ('clientId' in whom) return end(broker, whom.clientId, null)
  const { sessions } = broker
  if (sessions.list === undefined) return
  let after: string | null = null
  do {
    const page = await sessions.list(after, pageMax)
    for (const { clientId, user, node } of page.sessions) if (user === whom.username && node === null) await end(broker, clientId, { user })
    after = page.next
  } while (after !== null)
}

function end({ roster, sessions, settings }: WholeBroker, clientId: string, owner: { readonly user: string | null } | null): Promise<void> {
  return roster.inTurn(clientId, async () => {
    // Whoever has connected meanwhile was let in after the revocation.
    if (roster.get(clientId)?.online === true) return
    const user = owner?.user ?? null
    const request = { clientId, node: settings.brokerId, user, userOnly: owner !== null, cleanStart: true, expiryMs: 0, will: null }
    try {
      const { ended } = await sessions.claim(request)
      if (ended !== null) roster.ended({ ...ended, will: null }, null)
    } catch (error) {
      // It is another user's by now.
      if (!(error instanceof SessionOwnedError)) throw error
    }
  })
}
