import type { Client } from '../connection/client.ts'
import { filtersPerTurn } from '../connection/turns.ts'
import { MqttError } from '../errors.ts'
import { PacketType } from '../protocol/constants.ts'
import type { UnsubscribePacket } from '../protocol/packets.ts'
import { ReasonCode } from '../reason.ts'
import { isPlainFilter, isTopicFilter } from '../routing/topic.ts'

/** UNSUBSCRIBE: filters are compared character by character [MQTT-3.10.4-1]; UNSUBACK waits for the store. */
export function handleUnsubscribe(client: Client, packet: UnsubscribePacket): void | Promise<void> {
  const { filters } = packet
  const { broker } = client
  const session = client.session!
  const held = new Set<string>()
  const reasonCodes: number[] = []
  for (const filter of filters) {
    if (!(client.version === 5 ? isTopicFilter : isPlainFilter)(filter))
      throw new MqttError(ReasonCode.MalformedPacket, `"${filter}" is not a topic filter`)
    // A filter that is named twice is gone the second time.
    const exists = session.subscriptions.has(filter) && !held.has(filter)
    if (exists) held.add(filter)
    reasonCodes.push(exists ? ReasonCode.Success : ReasonCode.NoSubscriptionExisted)
  }
  const leaving = [...held]
  const done = session.durable && leaving.length > 0 ? broker.sessions.unsubscribe(session, leaving) : undefined
  if (done === undefined) return leave(client, packet, leaving, reasonCodes)
  return done.then(
    () => leave(client, packet, leaving, reasonCodes),
    error => {
      broker.storeFailed(session, error, client)
      client.close(ReasonCode.ServerUnavailable, 'the session store did not take an UNSUBSCRIBE')
    },
  )
}

function leave(client: Client, packet: UnsubscribePacket, filters: readonly string[], reasonCodes: number[]): void | Promise<void> {
  if (filters.length > filtersPerTurn) return leaveMany(client, packet, filters, reasonCodes)
  for (const filter of filters) client.broker.roster.unsubscribe(client.session!, filter)
  answer(client, packet, filters, reasonCodes)
}

async function leaveMany(client: Client, packet: UnsubscribePacket, filters: readonly string[], reasonCodes: number[]): Promise<void> {
  const { roster, turns } = client.broker
  for (let from = 0; from < filters.length; from += filtersPerTurn) {
    await turns.next()
    for (const filter of filters.slice(from, from + filtersPerTurn)) roster.unsubscribe(client.session!, filter)
  }
  answer(client, packet, filters, reasonCodes)
}

function answer(client: Client, { packetId }: UnsubscribePacket, filters: readonly string[], reasonCodes: number[]): void {
  if (client.closed) return
  client.sender.packet({
    type: PacketType.Unsuback,
    packetId,
    reasonCodes: client.version === 5 ? reasonCodes : [],
    properties: undefined,
  })
  const { onUnsubscribed } = client.broker.hooks
  if (onUnsubscribed.isUsed()) for (const filter of filters) onUnsubscribed.call(client, { filter })
}
