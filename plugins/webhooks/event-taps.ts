import type { Broker } from '../../core/broker.ts'
import type { Client } from '../../core/connection/client.ts'
import type { DropReason } from '../../core/counter-names.ts'
import { Stage } from '../../core/hooks.ts'
import { LineThrottle } from '../kit/line-throttle.ts'
import type { EventFields } from './event-json.ts'
import type { EventName } from './rules.ts'

/** Takes an event: whom it is about, and what it says. */
export type TellEvent = (event: EventName, clientId: string, fields: EventFields) => void

const dropsEveryMs = 10_000
const dropKindsMax = 1000
// What becomes of events themselves makes no further ones.
const own = new Set<DropReason>(['webhookFull', 'webhookRefused'])

/** Taps what the events need that somebody wants, and nothing else. Returns what ends it. */
export function tapEvents({ hooks, clock }: Broker, wanted: ReadonlySet<EventName>, tell: TellEvent): () => void {
  const tap = { name: 'webhooks', stage: Stage.Observe }
  if (wanted.has('client.connected') || wanted.has('session.created')) {
    hooks.onConnected.tap(tap, (client, sessionPresent) => {
      const { clientId, username, session, version, keepAlive } = client
      if (!sessionPresent && wanted.has('session.created'))
        tell('session.created', clientId, { clientId, username, expiry: seconds(session?.expiryMs) })
      if (!wanted.has('client.connected')) return
      tell('client.connected', clientId, { ...whoIs(client), version, keepAlive, sessionPresent })
    })
  }
  if (wanted.has('client.disconnected')) {
    hooks.onDisconnect.tap(tap, (client, { code, message, by }) => {
      // Whoever was refused was never connected.
      if (client.session !== null) tell('client.disconnected', client.clientId, { ...whoIs(client), by, reasonCode: code, reason: message })
    })
  }
  if (wanted.has('session.ended')) {
    hooks.onSessionExpired.tap(tap, clientId => tell('session.ended', clientId, { clientId }))
    // One that does not outlive its connection ends with it.
    hooks.onSessionClosed.tap(tap, ({ durable, clientId }) => {
      if (!durable) tell('session.ended', clientId, { clientId })
    })
  }
  if (wanted.has('session.subscribed')) {
    hooks.onSubscribed.tap(tap, ({ clientId, username }, { filter, qos }) =>
      tell('session.subscribed', clientId, { clientId, username, filter, qos }),
    )
  }
  if (wanted.has('session.unsubscribed')) {
    hooks.onUnsubscribed.tap(tap, ({ clientId, username }, { filter }) =>
      tell('session.unsubscribed', clientId, { clientId, username, filter }),
    )
  }
  if (!wanted.has('message.dropped')) return () => {}
  const tellDrops = (reason: DropReason, clientId: string, count: number): void =>
    tell('message.dropped', clientId, { clientId, reason, count })
  const throttle = new LineThrottle(clock, {
    everyMs: dropsEveryMs,
    kindsMax: dropKindsMax,
    others: 'others ',
    more: (count, kind) => {
      const end = kind.indexOf(' ')
      tellDrops(kind.slice(0, end) as DropReason, kind.slice(end + 1), count)
    },
  })
  hooks.onDrop.tap(tap, (clientId, _message, reason) => {
    if (!own.has(reason) && throttle.pass(`${reason} ${clientId}`) > 0) tellDrops(reason, clientId, 1)
  })
  return () => throttle.flush()
}

function whoIs({ clientId, username, remoteAddress, acceptedAt }: Client): EventFields {
  return { clientId, username, address: remoteAddress, connectedAt: Math.trunc(acceptedAt) }
}

// For ever is no number in JSON.
function seconds(ms: number | undefined): number | null {
  return ms === undefined || ms === Number.POSITIVE_INFINITY ? null : Math.ceil(ms / 1000)
}
