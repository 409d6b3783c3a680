import type { Client } from '../client.ts'
import { MqttError } from '../errors.ts'
import type { SubscribeRefusal, SubscriptionAttempt } from '../hooks.ts'
import { PacketType } from '../protocol/constants.ts'
import type { SubscribePacket } from '../protocol/packets.ts'
import { ReasonCode } from '../reason.ts'
import type { Subscription } from '../subscription.ts'
import { isPlainFilter, isTopicFilter, topicLevels } from '../topic.ts'
import { toRefusal } from './refusal.ts'

/** SUBSCRIBE: each filter is judged by itself and answered in order [MQTT-3.8.4-6]; SUBACK waits for the store. */
export function handleSubscribe(client: Client, packet: SubscribePacket): void | Promise<void> {
  const session = client.session!
  const identifier = packet.properties?.subscriptionIdentifiers?.[0] ?? 0
  const attempts: SubscriptionAttempt[] = packet.subscriptions.map(request => {
    if (!(client.version === 5 ? isTopicFilter : isPlainFilter)(request.filter)) {
      throw new MqttError(ReasonCode.MalformedPacket, `"${request.filter}" is not a topic filter`) // [MQTT-4.7.1-1]
    }
    const { filter, qos, noLocal, retainAsPublished, retainHandling } = request
    return {
      filter,
      qos,
      noLocal,
      retainAsPublished,
      retainHandling,
      identifier,
      existed: session.subscriptions.has(filter),
      lifetime: 'session',
    }
  })
  // The store's batch and the answer want all filters judged; only a tap on onSubscribe can make that wait.
  if (!client.broker.hooks.onSubscribe.isUsed()) {
    return keep(
      client,
      packet,
      attempts,
      attempts.map(attempt => refusedByCore(client, attempt) ?? attempt.qos),
    )
  }
  return judge(client, packet, attempts)
}

async function judge(client: Client, packet: SubscribePacket, attempts: SubscriptionAttempt[]): Promise<void> {
  const { onSubscribe } = client.broker.hooks
  const reasonCodes: number[] = []
  for (const attempt of attempts) {
    const asked = attempt.qos
    let code: number | undefined = refusedByCore(client, attempt)
    if (code === undefined) {
      const refusal = (await onSubscribe.promise(client, attempt)) as SubscribeRefusal | undefined
      if (refusal !== undefined && (typeof refusal !== 'number' || refusal >= 0x80)) code = toRefusal(refusal).reasonCode
    }
    // A plugin may lower the QoS, never raise it [MQTT-3.8.4-8].
    attempt.qos = Math.min(asked, Math.max(0, attempt.qos)) as 0 | 1 | 2
    reasonCodes.push(code ?? attempt.qos)
  }
  await keep(client, packet, attempts, reasonCodes)
}

function refusedByCore(client: Client, { filter }: SubscriptionAttempt): number | undefined {
  const { broker } = client
  if (filter.startsWith('$share/') && !broker.capabilities.sharedSubscriptions) return ReasonCode.SharedSubscriptionsNotSupported
  // Only a 3.1.1 client comes so far with a filter that names no group.
  if (!isTopicFilter(filter)) return ReasonCode.TopicFilterInvalid
  if (topicLevels(filter) > broker.settings.mqtt.topicLevelsMax) return ReasonCode.TopicFilterInvalid
  const { onAuthorize } = broker.hooks
  if (onAuthorize.isUsed() && onAuthorize.call(client, 'subscribe', filter) === false) return ReasonCode.NotAuthorized
  return undefined
}

/** Registers what was granted, once the store has it, and answers [gate: SUBACK]. */
function keep(client: Client, packet: SubscribePacket, attempts: SubscriptionAttempt[], reasonCodes: number[]): void | Promise<void> {
  const session = client.session!
  const granted = attempts.filter((_attempt, i) => reasonCodes[i]! < 0x80)
  const stored = session.durable ? granted.filter(attempt => attempt.lifetime === 'session') : []
  const answer = (): void => {
    for (const attempt of granted) {
      if (attempt.lifetime === 'none') continue
      client.broker.registry.subscribe(session, subscriptionOf(attempt))
      if (attempt.lifetime === 'connection') {
        session.temporary ??= new Set()
        session.temporary.add(attempt.filter)
      }
    }
    if (client.closed) return
    const { version } = client
    client.sender.packet({
      type: PacketType.Suback,
      packetId: packet.packetId,
      // Before MQTT 5 there is one failure code [MQTT-3.9.3-2].
      reasonCodes: version === 5 ? reasonCodes : reasonCodes.map(code => Math.min(code, 0x80)),
      properties: undefined,
    })
    const { onSubscribed } = client.broker.hooks
    for (const attempt of granted) onSubscribed.call(client, attempt)
  }
  if (stored.length === 0) return answer()
  const failed = (error: unknown): void => {
    client.broker.storeFailed(session, error)
    for (let i = 0; i < reasonCodes.length; i++) if (stored.includes(attempts[i]!)) reasonCodes[i] = ReasonCode.UnspecifiedError
    granted.length = 0
    answer()
  }
  const done = client.broker.sessions.subscribe(session, stored.map(subscriptionOf))
  return done === undefined ? answer() : done.then(answer, failed)
}

function subscriptionOf({ filter, qos, noLocal, retainAsPublished, retainHandling, identifier }: SubscriptionAttempt): Subscription {
  return { filter, qos, noLocal, retainAsPublished, retainHandling, identifier }
}
