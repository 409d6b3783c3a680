import type { Connection } from '../connection/connection.ts'
import { filtersPerTurn, inTurns, keptInTurns } from '../connection/turns.ts'
import { MqttError } from '../errors.ts'
import { PacketType } from '../protocol/constants.ts'
import type { Properties, SubscribePacket, SubscriptionRequest } from '../protocol/packets.ts'
import { ReasonCode, subackCode } from '../reason.ts'
import { isGranted, type SubscribeRefusal, textOf, toRefusal } from '../refusals.ts'
import { loweredQoS } from '../routing/lowered-qos.ts'
import type { Subscription, SubscriptionAttempt } from '../routing/subscription.ts'
import { isPlainFilter, isTopicFilter, topicLevels } from '../routing/topic.ts'
import { unkeptReason } from '../sessions/session-store.ts'
import type { HandlerHost } from './host.ts'

/** One SUBSCRIBE on its way: its filters, and the reason code of each, in order [MQTT-3.8.4-6]. */
interface Subscribing {
  readonly host: HandlerHost
  readonly client: Connection
  readonly packetId: number
  readonly attempts: SubscriptionAttempt[]
  readonly reasonCodes: number[]
  /** Filters granted here that the session did not hold before, and how many of them are shared. */
  readonly added: Set<string>
  addedShared: number
  /** What the first refusal says; SUBACK has room for one. */
  properties: Properties | undefined
  /** How often anybody's rights had changed when it came. */
  readonly changes: number
  /** Who gets the answer where no packet brought it; undefined: the client. */
  readonly told: ((reasonCodes: readonly number[]) => void) | undefined
}

/** SUBSCRIBE: each filter is judged by itself and answered in order; SUBACK waits for the store. */
export function handleSubscribe(
  host: HandlerHost,
  client: Connection,
  packet: SubscribePacket,
  told?: (reasonCodes: readonly number[]) => void,
): void | Promise<void> {
  const { packetId, subscriptions } = packet
  const subscribing: Subscribing = {
    host,
    client,
    packetId,
    attempts: [],
    reasonCodes: [],
    added: new Set(),
    addedShared: 0,
    properties: undefined,
    changes: host.authority.changes,
    told,
  }
  const identifier = packet.properties?.subscriptionIdentifiers?.[0] ?? 0
  // One packet with several filters does what as many packets would [MQTT-3.8.4-5].
  const named = new Set<string>()
  const attempt = (request: SubscriptionRequest): SubscriptionAttempt => {
    const existed = client.session!.heldAs(request.filter) !== undefined || named.has(request.filter)
    named.add(request.filter)
    return attemptOf(client, request, identifier, existed)
  }
  // Only a tap on onSubscribe, and many filters, make this wait.
  if (host.hooks.onSubscribe.isUsed() || subscriptions.length > filtersPerTurn) {
    return judge(subscribing, subscriptions, attempt)
  }
  for (const request of subscriptions) {
    const asked = attempt(request)
    subscribing.attempts.push(asked)
    subscribing.reasonCodes.push(refusedByCore(host, client, asked) ?? noPlaceLeft(subscribing, asked) ?? asked.qos)
  }
  return keep(subscribing)
}

function attemptOf(
  { version, bridge }: Connection,
  request: SubscriptionRequest,
  identifier: number,
  existed: boolean,
): SubscriptionAttempt {
  const { filter, qos, retainHandling } = request
  // A bridge has no other way to ask for them, and a group is nobody's own [MQTT-3.8.3-4].
  const noLocal = request.noLocal || (bridge && !filter.startsWith('$share/'))
  const retainAsPublished = request.retainAsPublished || bridge
  if (!(version === 5 ? isTopicFilter : isPlainFilter)(filter)) {
    throw new MqttError(ReasonCode.MalformedPacket, `"${filter}" is not a topic filter`) // [MQTT-4.7.1-1]
  }
  return { requested: filter, filter, qos, noLocal, retainAsPublished, retainHandling, identifier, existed, lifetime: 'session' }
}

async function judge(
  subscribing: Subscribing,
  requests: readonly SubscriptionRequest[],
  attempt: (request: SubscriptionRequest) => SubscriptionAttempt,
): Promise<void> {
  const { host, client, attempts, reasonCodes } = subscribing
  const { hooks, turns } = host
  for (const request of requests) {
    if (requests.length > filtersPerTurn && attempts.length % filtersPerTurn === 0) await turns.next()
    const asked = attempt(request)
    let code: number | undefined = refusedByCore(host, client, asked)
    if (code === undefined && hooks.onSubscribe.isUsed()) {
      const refusal = (await hooks.onSubscribe.promise(client, asked)) as SubscribeRefusal | undefined
      if (refusal !== undefined) {
        const said = toRefusal(refusal)
        code = subackCode(said.reasonCode)
        subscribing.properties ??= textOf(said)
      }
      code ??= wrongFilter(host, asked)
    }
    code ??= noPlaceLeft(subscribing, asked)
    asked.qos = loweredQoS(request.qos, asked.qos)
    attempts.push(asked)
    reasonCodes.push(code ?? asked.qos)
  }
  await keep(subscribing)
}

function beyondMax(over: 'refuse' | 'disconnect'): ReasonCode {
  if (over === 'disconnect') throw new MqttError(ReasonCode.TopicFilterInvalid, 'a topic filter is longer, or has more levels, than may be')
  return ReasonCode.TopicFilterInvalid
}

function refusedByCore(host: HandlerHost, client: Connection, { filter }: SubscriptionAttempt): number | undefined {
  if (filter.startsWith('$share/') && !host.capabilities.sharedSubscriptions) return ReasonCode.SharedSubscriptionsNotSupported
  // Only a 3.1.1 client comes so far with a filter that names no group.
  if (!isTopicFilter(filter)) return ReasonCode.TopicFilterInvalid
  const { topicLevelsMax, topicLengthMax, overTopicMax } = host.settings.mqtt
  if (topicLevels(filter) > topicLevelsMax) {
    host.counters.limited.topicLevels += 1
    return beyondMax(overTopicMax)
  }
  if (filter.length > topicLengthMax) {
    host.counters.limited.topicLength += 1
    return beyondMax(overTopicMax)
  }
  const { onAuthorize } = host.hooks
  if (!onAuthorize.isUsed()) return undefined
  const permission = onAuthorize.call(client, 'subscribe', filter)
  return isGranted(permission) ? undefined : ReasonCode.NotAuthorized
}

/** A tap may replace a filter, but not by something that is none: that is refused, and said in the log. */
function wrongFilter(host: HandlerHost, asked: SubscriptionAttempt): number | undefined {
  const { requested, filter } = asked
  if (filter === requested) return undefined
  if (typeof filter === 'string' && isTopicFilter(filter) && filter.startsWith('$share/') === requested.startsWith('$share/'))
    return undefined
  host.report(new TypeError(`a plugin changed the topic filter ${JSON.stringify(requested)} to ${JSON.stringify(filter)}, which is none`))
  asked.filter = requested
  return ReasonCode.ImplementationSpecificError
}

/** One filter more than a session may hold. One that it holds already is replaced and takes no place, nor does one that a plugin serves. */
function noPlaceLeft(subscribing: Subscribing, { filter, lifetime }: SubscriptionAttempt): number | undefined {
  const { host, client } = subscribing
  const session = client.session!
  const { subscriptionsMax, sharedSubscriptionsMax } = host.settings.mqtt
  const { added } = subscribing
  if (lifetime === 'none' || session.subscriptions.has(filter) || added.has(filter)) return undefined
  const shared = filter.startsWith('$share/') ? 1 : 0
  if (session.subscriptions.size + added.size >= (subscriptionsMax ?? Number.POSITIVE_INFINITY))
    return refuseFull(subscribing, 'subscriptions', `${subscriptionsMax} subscriptions`)
  if (shared > 0 && session.shared + subscribing.addedShared >= (sharedSubscriptionsMax ?? Number.POSITIVE_INFINITY))
    return refuseFull(subscribing, 'sharedSubscriptions', `${sharedSubscriptionsMax} shared subscriptions`)
  added.add(filter)
  subscribing.addedShared += shared
  return undefined
}

function refuseFull(subscribing: Subscribing, limit: 'subscriptions' | 'sharedSubscriptions', what: string): number {
  subscribing.host.counters.limited[limit] += 1
  subscribing.properties ??= { reasonString: `a session may hold ${what} (mqtt.${limit}Max)` }
  return ReasonCode.QuotaExceeded
}

/** Registers what was granted, once the store has it, and answers [gate: SUBACK]. */
function keep(subscribing: Subscribing): void | Promise<void> {
  const { host, client, attempts, reasonCodes } = subscribing
  const session = client.session!
  const isGranted = (_attempt: SubscriptionAttempt, i: number): boolean => reasonCodes[i]! < 0x80
  const stored = session.durable ? attempts.filter(isGranted).filter(attempt => attempt.lifetime === 'session') : []
  const done = stored.length > 0 ? store(host, client, stored) : undefined
  if (done === undefined) return grant(subscribing)
  return done.then(
    () => grant(subscribing),
    error => {
      // Nothing was kept of what was granted; where the store is full, or refuses just this, the client is told and may go on.
      const reason = unkeptReason(error)
      if (reason === ReasonCode.ServerUnavailable) host.storeFailed(session, error, client)
      for (const [i, code] of reasonCodes.entries())
        if (code < 0x80) reasonCodes[i] = reason === ReasonCode.ServerUnavailable ? ReasonCode.QuotaExceeded : reason
      answer(subscribing)
    },
  )
}

function store({ sessions, turns }: HandlerHost, { session }: Connection, stored: readonly SubscriptionAttempt[]): void | Promise<void> {
  const write = (slice: readonly SubscriptionAttempt[]): void | Promise<void> => sessions.subscribe(session!, slice.map(subscriptionOf))
  return stored.length <= filtersPerTurn ? write(stored) : keptInTurns(turns, stored, write)
}

function grant(subscribing: Subscribing): void | Promise<void> {
  const granted = subscribing.attempts.filter((_attempt, i) => subscribing.reasonCodes[i]! < 0x80)
  const { host, client } = subscribing
  if (granted.length > filtersPerTurn || (granted.length > 0 && host.hooks.onAnswer.isUsed())) return grantLater(subscribing, granted)
  register(host, client, granted)
  answer(subscribing)
  tell(host, client, granted)
}

/** The same for many filters, and where somebody may keep SUBACK back. */
async function grantLater(subscribing: Subscribing, granted: readonly SubscriptionAttempt[]): Promise<void> {
  const { host, client } = subscribing
  const { turns, hooks } = host
  await inTurns(turns, granted, slice => register(host, client, slice))
  if (hooks.onAnswer.isUsed()) await hooks.onAnswer.promise(client, 'suback')
  answer(subscribing)
  if (hooks.onSubscribed.isUsed()) await inTurns(turns, granted, slice => tell(host, client, slice))
}

function register(host: HandlerHost, { session }: Connection, granted: readonly SubscriptionAttempt[]): void {
  for (const attempt of granted) {
    if (attempt.lifetime === 'none') continue
    // The client knows it by this name, and it is replaced [MQTT-3.8.4-3], though it had another filter.
    const before = session!.heldAs(attempt.requested)
    if (before !== undefined && before !== attempt.filter) host.roster.revoke(session!, [before])
    host.roster.subscribe(session!, subscriptionOf(attempt))
    if (attempt.lifetime === 'connection') {
      session!.temporary ??= new Set()
      session!.temporary.add(attempt.filter)
    }
  }
}

function answer({ host, client, packetId, attempts, reasonCodes, properties, changes, told }: Subscribing): void {
  // Its rights may have been taken away while the store was asked.
  const { authority } = host
  if (authority.changes !== changes && client.session!.client === client) authority.recheck(client.session!)
  told?.(reasonCodes)
  if (client.closed) return
  if (told === undefined)
    client.sender.packet({
      type: PacketType.Suback,
      packetId,
      // Before MQTT 5 there is one failure code [MQTT-3.9.3-2].
      reasonCodes: client.version === 5 ? reasonCodes : reasonCodes.map(code => Math.min(code, 0x80)),
      properties: client.sender.problemInformation ? properties : undefined, // [MQTT-3.1.2-29]
    })
  if (!reasonCodes.some(code => code >= 0x80)) return
  const { onSubscribeRefused } = host.hooks
  for (const [i, code] of reasonCodes.entries()) {
    if (code < 0x80) continue
    host.counters.subscriptionsRefused += 1
    if (onSubscribeRefused.isUsed()) onSubscribeRefused.call(client, attempts[i]!, code)
  }
}

function tell(host: HandlerHost, client: Connection, granted: readonly SubscriptionAttempt[]): void {
  const { onSubscribed } = host.hooks
  if (!client.closed && onSubscribed.isUsed()) for (const attempt of granted) onSubscribed.call(client, attempt)
}

function subscriptionOf(attempt: SubscriptionAttempt): Subscription {
  const { requested, filter, qos, noLocal, retainAsPublished, retainHandling, identifier } = attempt
  const subscription = { filter, qos, noLocal, retainAsPublished, retainHandling, identifier }
  return requested === filter ? subscription : { ...subscription, requested }
}
