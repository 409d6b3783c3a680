import type { Client } from '../client.ts'
import { MqttError } from '../errors.ts'
import { PacketType } from '../protocol/constants.ts'
import type { UnsubscribePacket } from '../protocol/packets.ts'
import { ReasonCode } from '../reason.ts'
import { isPlainFilter, isTopicFilter } from '../topic.ts'

/** UNSUBSCRIBE: filters are compared character by character [MQTT-3.10.4-1]; UNSUBACK waits for the store. */
export function handleUnsubscribe(client: Client, { packetId, filters }: UnsubscribePacket): void | Promise<void> {
  const { broker } = client
  const session = client.session!
  for (const filter of filters) {
    if (!(client.version === 5 ? isTopicFilter : isPlainFilter)(filter))
      throw new MqttError(ReasonCode.MalformedPacket, `"${filter}" is not a topic filter`)
  }
  const held = [...new Set(filters.filter(filter => session.subscriptions.has(filter)))]
  const answer = (): void => {
    const reasonCodes = filters.map((filter, i) =>
      held.includes(filter) && filters.indexOf(filter) === i ? ReasonCode.Success : ReasonCode.NoSubscriptionExisted,
    )
    for (const filter of held) broker.registry.unsubscribe(session, filter)
    if (client.closed) return
    client.sender.packet({
      type: PacketType.Unsuback,
      packetId,
      reasonCodes: client.version === 5 ? reasonCodes : [],
      properties: undefined,
    })
    const { onUnsubscribed } = broker.hooks
    if (onUnsubscribed.isUsed()) for (const filter of held) onUnsubscribed.call(client, { filter })
  }
  const done = session.durable && held.length > 0 ? broker.sessions.unsubscribe(session, held) : undefined
  if (done === undefined) return answer()
  return done.then(answer, error => {
    broker.storeFailed(session, error)
    client.close(ReasonCode.ServerUnavailable, 'the session store did not take an UNSUBSCRIBE')
  })
}
