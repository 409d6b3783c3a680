import type { Connection } from '../connection/connection.ts'
import { filtersPerTurn, inTurns, keptInTurns } from '../connection/turns.ts'
import { MqttError } from '../errors.ts'
import { PacketType } from '../protocol/constants.ts'
import type { UnsubscribePacket } from '../protocol/packets.ts'
import { ReasonCode, unsubackCode } from '../reason.ts'
import { type SubscribeRefusal, toRefusal } from '../refusals.ts'
import { isPlainFilter, isTopicFilter } from '../routing/topic.ts'
import type { HandlerHost } from './host.ts'

/** One UNSUBSCRIBE on its way: the reason code of each filter, and those that the session had, each with the one that the client gave. */
interface Unsubscribing {
  readonly host: HandlerHost
  readonly client: Connection
  readonly packet: UnsubscribePacket
  readonly reasonCodes: number[]
  readonly held: Map<string, string>
  /** Who gets the answer where no packet brought it; undefined: the client. */
  readonly told: ((reasonCodes: readonly number[]) => void) | undefined
}

/** UNSUBSCRIBE: filters are compared character by character [MQTT-3.10.4-1]; UNSUBACK waits for the store. */
export function handleUnsubscribe(
  host: HandlerHost,
  client: Connection,
  packet: UnsubscribePacket,
  told?: (reasonCodes: readonly number[]) => void,
): void | Promise<void> {
  const { filters } = packet
  const unsubscribing: Unsubscribing = { host, client, packet, reasonCodes: [], held: new Map(), told }
  if (filters.length > filtersPerTurn || host.hooks.onAnswer.isUsed()) return unsubscribeLater(unsubscribing)
  look(unsubscribing, filters)
  const leaving = [...unsubscribing.held.keys()]
  const done = forget(host, client, leaving)
  if (done === undefined) return leave(unsubscribing, leaving)
  return done.then(
    () => leave(unsubscribing, leaving),
    error => failed(host, client, error),
  )
}

/** The same for many filters, and where somebody may keep UNSUBACK back. */
async function unsubscribeLater(unsubscribing: Unsubscribing): Promise<void> {
  const { host, client, packet, held } = unsubscribing
  const { turns, roster, hooks } = host
  await inTurns(turns, packet.filters, slice => look(unsubscribing, slice))
  const leaving = [...held.keys()]
  try {
    await keptInTurns(turns, leaving, slice => forget(host, client, slice))
  } catch (error) {
    return failed(host, client, error)
  }
  await inTurns(turns, leaving, slice => {
    for (const filter of slice) roster.unsubscribe(client.session!, filter)
  })
  if (leaving.length > 0 && hooks.onAnswer.isUsed()) await hooks.onAnswer.promise(client, 'unsuback')
  answer(unsubscribing)
  if (hooks.onUnsubscribed.isUsed()) await inTurns(turns, leaving, slice => tell(unsubscribing, slice))
}

function look({ host, client, reasonCodes, held }: Unsubscribing, filters: readonly string[]): void {
  const session = client.session!
  const { onUnsubscribe } = host.hooks
  for (const requested of filters) {
    if (!(client.version === 5 ? isTopicFilter : isPlainFilter)(requested))
      throw new MqttError(ReasonCode.MalformedPacket, `"${requested}" is not a topic filter`)
    const asked = { requested, filter: requested }
    const refusal = onUnsubscribe.isUsed() ? (onUnsubscribe.call(client, asked) as SubscribeRefusal | undefined) : undefined
    if (refusal !== undefined) {
      reasonCodes.push(unsubackCode(toRefusal(refusal).reasonCode))
      continue
    }
    const filter = asked.filter === requested ? session.heldAs(requested) : asked.filter
    // A filter that is named twice is gone the second time.
    const exists = filter !== undefined && session.subscriptions.has(filter) && !held.has(filter)
    if (exists) held.set(filter, requested)
    reasonCodes.push(exists ? ReasonCode.Success : ReasonCode.NoSubscriptionExisted)
  }
}

function forget(host: HandlerHost, { session }: Connection, filters: readonly string[]): void | Promise<void> {
  if (session!.durable && filters.length > 0) return host.sessions.unsubscribe(session!, filters)
}

function failed(host: HandlerHost, client: Connection, error: unknown): void {
  host.storeFailed(client.session!, error, client)
  client.close(ReasonCode.ServerUnavailable, 'the session store did not take an UNSUBSCRIBE')
}

function leave(unsubscribing: Unsubscribing, filters: readonly string[]): void {
  const { host, client } = unsubscribing
  for (const filter of filters) host.roster.unsubscribe(client.session!, filter)
  answer(unsubscribing)
  tell(unsubscribing, filters)
}

function answer({ client, packet, reasonCodes, told }: Unsubscribing): void {
  if (told !== undefined) return told(reasonCodes)
  if (client.closed) return
  client.sender.packet({
    type: PacketType.Unsuback,
    packetId: packet.packetId,
    reasonCodes: client.version === 5 ? reasonCodes : [],
    properties: undefined,
  })
}

function tell({ host, client, held }: Unsubscribing, filters: readonly string[]): void {
  const { onUnsubscribed } = host.hooks
  if (client.closed || !onUnsubscribed.isUsed()) return
  for (const filter of filters) onUnsubscribed.call(client, { requested: held.get(filter)!, filter })
}
