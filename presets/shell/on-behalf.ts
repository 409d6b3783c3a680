import type { BrokerCore } from '../../core/broker-core.ts'
import type { Connection } from '../../core/connection/connection.ts'
import type { HandlerHost } from '../../core/handlers/host.ts'
import { handleSubscribe } from '../../core/handlers/subscribe.ts'
import { handleUnsubscribe } from '../../core/handlers/unsubscribe.ts'
import { PacketType, type QoS } from '../../core/protocol/constants.ts'
import { ReasonCode } from '../../core/reason.ts'
import { isGranted } from '../../core/refusals.ts'
import type { Subscription } from '../../core/routing/subscription.ts'
import { topicLevels } from '../../core/routing/topic.ts'
import type { KnownSession } from '../../core/sessions/known-session.ts'
import { SessionLostError } from '../../core/sessions/session-store.ts'

/** What SUBACK or UNSUBACK would say of the one filter. */
type Told = (reasonCodes: readonly number[]) => void

/** Subscribes a client as if it had sent a SUBSCRIBE. No packet brings it, so none answers. */
export function subscribeFor(host: HandlerHost, client: Connection, filter: string, qos: QoS): Promise<number> {
  const subscriptions = [{ filter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 as const }]
  const packet = { type: PacketType.Subscribe, packetId: 0, subscriptions, properties: undefined }
  return answered(client, told => handleSubscribe(host, client, packet, told))
}

/** The same for UNSUBSCRIBE. */
export function unsubscribeFor(host: HandlerHost, client: Connection, filter: string): Promise<number> {
  const packet = { type: PacketType.Unsubscribe, packetId: 0, filters: [filter], properties: undefined }
  return answered(client, told => handleUnsubscribe(host, client, packet, told))
}

async function answered(client: Connection, handle: (told: Told) => void | Promise<void>): Promise<number> {
  if (client.state !== 'connected') throw new TypeError(`client ${JSON.stringify(client.clientId)} is not connected`)
  let said: number | undefined
  await handle(([code]) => void (said = code))
  if (said === undefined) throw new Error(`the session store did not take what was done for client ${JSON.stringify(client.clientId)}`)
  return said
}

/** Keeps a subscription in a stored session without a connection, once the store has it: nobody connects as this client meanwhile. */
export function subscribeStored(broker: BrokerCore, session: KnownSession, subscription: Subscription): Promise<number> {
  return whileAway(broker, session, async () => {
    const refusal = refusalOf(broker, session, subscription)
    if (refusal !== null) return refusal
    await broker.sessions.subscribe(session, [subscription])
    broker.roster.subscribe(session, subscription)
    return subscription.qos
  })
}

/** Takes one out of it. */
export function unsubscribeStored(broker: BrokerCore, session: KnownSession, requested: string): Promise<number> {
  return whileAway(broker, session, async () => {
    const filter = session.heldAs(requested)
    if (filter === undefined) return ReasonCode.NoSubscriptionExisted
    await broker.sessions.unsubscribe(session, [filter])
    broker.roster.unsubscribe(session, filter)
    return ReasonCode.Success
  })
}

async function whileAway(broker: BrokerCore, session: KnownSession, work: () => Promise<number>): Promise<number> {
  const { clientId, epoch } = session
  let code: number | undefined
  await broker.roster.inTurn(clientId, async () => {
    const isAway = session.durable && !session.online && broker.roster.get(clientId) === session
    if (!isAway) throw new SessionLostError(clientId)
    code = await work()
    // It has come to another node while the store was asked, and that one has told what the session is; this may have been told before.
    if (session.epoch !== epoch || session.online) await broker.reloadSessions()
  })
  return code!
}

/** What a SUBACK would say no by, of what is known of a session without its client; null: nothing. */
function refusalOf({ settings, capabilities, hooks }: BrokerCore, session: KnownSession, subscription: Subscription): ReasonCode | null {
  const { filter, requested = filter } = subscription
  const { topicLevelsMax, topicLengthMax, subscriptionsMax, sharedSubscriptionsMax } = settings.mqtt
  const isShared = filter.startsWith('$share/')
  if (isShared && !capabilities.sharedSubscriptions) return ReasonCode.SharedSubscriptionsNotSupported
  if (topicLevels(requested) > topicLevelsMax || requested.length > topicLengthMax) return ReasonCode.TopicFilterInvalid
  if (!session.subscriptions.has(filter)) {
    if (session.subscriptions.size >= (subscriptionsMax ?? Number.POSITIVE_INFINITY)) return ReasonCode.QuotaExceeded
    if (isShared && session.shared >= (sharedSubscriptionsMax ?? Number.POSITIVE_INFINITY)) return ReasonCode.QuotaExceeded
  }
  // Of one that has had no connection here the rights are not known; they are asked about when it comes.
  if (session.seen && hooks.onAuthorize.isUsed() && !isGranted(hooks.onAuthorize.call(session, 'subscribe', requested)))
    return ReasonCode.NotAuthorized
  return null
}
