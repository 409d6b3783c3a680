import { AuthExchange } from '../connection/auth-exchange.ts'
import type { Connection } from '../connection/connection.ts'
import { Message } from '../messages/message.ts'
import type { ConnectPacket, Properties } from '../protocol/packets.ts'
import { ReasonCode } from '../reason.ts'
import { type Admission, type ConnectRefusal, type Refusal, toRefusal } from '../refusals.ts'
import {
  type Claim,
  SessionLostError,
  SessionOwnedError,
  StoreAwayError,
  type StoredWill,
  unkeptReason,
} from '../sessions/session-store.ts'
import { authOf, exchange } from './exchange.ts'
import type { HandlerHost } from './host.ts'

const never = 0xffffffff
// The largest packet that there can be: five bytes, and as many as four of them can count.
const packetSizeMax = 268_435_460

/** Session Expiry Interval in milliseconds; 0xFFFFFFFF never expires. */
export function expiryToMs(seconds: number): number {
  return seconds === never ? Number.POSITIVE_INFINITY : seconds * 1000
}

/** CONNECT: who is it, may it come in, whose session is it; then CONNACK. What arrives meanwhile waits. */
export async function handleConnect(host: HandlerHost, client: Connection, packet: ConnectPacket): Promise<void> {
  const began = host.clock.now()
  client.readConnect(packet)
  if (client.refusal !== null) {
    // It has not become anybody: its end is no line at `info`, for there may be very many.
    client.clientId = ''
    return client.refuse(client.refusal)
  }
  const turn = host.connectGate.pass()
  if (turn !== undefined) await turn
  if (client.closed) return

  const wrongId = identify(host, client, packet)
  if (wrongId !== null) return client.refuse(wrongId)
  if (packet.version === 5 && packet.will?.retain === true && !host.capabilities.retain) {
    return client.refuse({ reasonCode: ReasonCode.RetainNotSupported, reasonString: 'retained messages are not supported here' }) // [MQTT-3.2.2-13]
  }

  if ((packet.will?.qos ?? 0) > host.settings.mqtt.maximumQoS) {
    return client.refuse({ reasonCode: ReasonCode.QoSNotSupported, reasonString: 'a will of this QoS is not supported here' }) // [MQTT-3.2.2-12]
  }

  const admission = await attempt(host, client, packet)
  if (client.closed) return
  if ('refusal' in admission) return client.refuse(admission.refusal)
  client.admit(admission.admission)
  if (host.settings.mqtt.clientIdFrom === 'username') {
    const { username } = client
    if (username === null) return client.refuse({ reasonCode: ReasonCode.NotAuthorized, reasonString: 'a user name is required' })
    client.clientId = username
  }

  client.onConnectBegan = true
  const refusal = (await host.hooks.onConnect.promise(client, packet)) as ConnectRefusal | undefined
  if (client.closed) return client.neverConnected()
  if (refusal !== undefined) return client.refuse(toRefusal(refusal))

  await host.roster.inTurn(client.clientId, () => establish(host, client, packet, admission.data))
  if (client.state === 'connected') host.timings.connect.add((host.clock.now() - began) / 1000)
}

/** Gives a client id where MQTT lets the server do so, and says why not where it does not. */
function identify(host: HandlerHost, client: Connection, packet: ConnectPacket): Refusal | null {
  if (packet.clientId !== '') return null
  const { emptyClientIds, assignedIdPrefix } = host.settings.mqtt
  const refused = { reasonCode: ReasonCode.ClientIdentifierNotValid, reasonString: 'a client id is required' }
  if (packet.version === 3 || !emptyClientIds) return refused
  if (packet.version === 4 && !packet.cleanStart) return refused // [MQTT-3.1.3-8] of 3.1.1
  const digits = host.clock.random(16).toString('hex')
  client.clientId = assignedIdPrefix + digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
  client.assignedId = true // [MQTT-3.1.3-6] [MQTT-3.1.3-7]
  return null
}

type Answer = { admission: Admission; data: Buffer | undefined } | { refusal: Refusal }

/** One attempt to be let in. Where nobody is asked who a client is, nobody is told of attempts either. */
async function attempt(host: HandlerHost, client: Connection, packet: ConnectPacket): Promise<Answer> {
  const { onAuthenticate, onAuth, onAttempt, onAttempted } = host.hooks
  if (!onAuthenticate.isUsed() && !onAuth.isUsed()) return authenticate(host, client, packet)
  let refusal: Refusal | null = null
  try {
    const early = onAttempt.isUsed() ? ((await onAttempt.promise(client, packet)) as ConnectRefusal | undefined) : undefined
    const answer = early === undefined ? await authenticate(host, client, packet) : { refusal: toRefusal(early) }
    if ('refusal' in answer) refusal = answer.refusal
    return answer
  } finally {
    onAttempted.call(client, refusal)
  }
}

async function authenticate(host: HandlerHost, client: Connection, packet: ConnectPacket): Promise<Answer> {
  const { hooks, settings } = host
  const method = packet.properties?.authenticationMethod
  if (method !== undefined) {
    if (!hooks.onAuth.isUsed()) return { refusal: { reasonCode: ReasonCode.BadAuthenticationMethod } } // [MQTT-4.12.0-1]
    client.auth = new AuthExchange(method)
    return exchange(host, client, authOf(client, packet.properties?.authenticationData))
  }
  const anonymous = { admission: {}, data: undefined }
  const refused = { refusal: { reasonCode: ReasonCode.NotAuthorized, reasonString: 'nobody vouches for this client' } }
  const allowAnonymous = client.transport.allowAnonymous ?? settings.allowAnonymous
  if (!hooks.onAuthenticate.isUsed()) return allowAnonymous === false ? refused : anonymous
  const answer = (await hooks.onAuthenticate.promise(client, packet)) as Admission | ConnectRefusal | true | undefined
  if (answer === undefined) {
    // Nobody has checked the name that it gives itself, so it has none: rights go by names.
    return allowAnonymous === true ? { admission: { username: client.transport.username ?? null }, data: undefined } : refused
  }
  if (answer === true) return anonymous
  if (answer === false || typeof answer === 'number' || 'reasonCode' in answer) return { refusal: toRefusal(answer) }
  return { admission: answer, data: undefined }
}

/** Takes the session over and answers. Runs one at a time for each client id, so that a storm leaves exactly one owner. */
async function establish(host: HandlerHost, client: Connection, packet: ConnectPacket, authData: Buffer | undefined): Promise<void> {
  if (client.closed) return client.neverConnected()
  const { settings } = host
  const expiryMs = Math.min(
    packet.version === 5 ? expiryToMs(packet.properties?.sessionExpiry ?? 0) : packet.cleanStart ? 0 : Number.POSITIVE_INFINITY,
    settings.mqtt.sessionExpiryMax ?? Number.POSITIVE_INFINITY,
  )
  const will = willOf(client, host.now, packet)
  const holder = host.roster.get(client.clientId)
  const strange = holder?.client != null && holder.owner !== client.username && host.entry.isByUser(client)
  // One that came in while the store was away has not been asked whose its client id is: this one may be the owner.
  if (strange && holder.epoch !== 0) return client.refuse(host.entry.owned(client))
  if (!strange) host.roster.takeOver(client.clientId)
  let claim: Claim
  try {
    claim = await claimSession(host, client, packet.cleanStart, expiryMs, will)
  } catch (error) {
    if (error instanceof SessionLostError)
      return client.refuse({ reasonCode: ReasonCode.ServerUnavailable, reasonString: 'claimed elsewhere' })
    if (error instanceof SessionOwnedError) return client.refuse(host.entry.owned(client))
    host.report(error)
    const reasonCode = unkeptReason(error)
    const isFull = reasonCode === ReasonCode.QuotaExceeded
    const what = isFull ? 'is full' : reasonCode === ReasonCode.ServerUnavailable ? 'is away' : 'refuses this session'
    return client.refuse({ reasonCode, reasonString: `the session store ${what}` })
  }
  if (strange) {
    if (claim.epoch === 0) return client.refuse(host.entry.owned(client))
    host.roster.takeOver(client.clientId)
  }
  if (claim.ended !== null) host.roster.ended(claim.ended, null)
  // What was subscribed to before is asked about again: by now the client may be another's, or its rights may have gone.
  const { authority } = host
  const { changes } = authority
  let denied = claim.present ? authority.denied(client, claim.subscriptions) : []
  if (denied instanceof Promise) denied = await denied
  const session = host.roster.openSession(client, claim, expiryMs)
  // It went while the store was asked: its session must not stay with a connection that is no more.
  if (client.closed) return host.roster.leave(session, client, false)
  host.roster.revoke(session, denied)
  client.will = will
  host.hooks.onSessionOpened.call(session)
  // Its owner has been lost with it, and nobody else knows of it any more.
  if (claim.orphanedWill != null) host.publishWill(client.clientId, claim.orphanedWill)
  if (host.hooks.onAnswer.isUsed()) {
    client.opened(session)
    await host.hooks.onAnswer.promise(client, 'connack')
    // It has gone meanwhile, and left its session.
    if (client.closed) return
  }
  client.connected(session, claim.present, packet.version === 5 ? connackProperties(host, client, packet, expiryMs, authData) : undefined)
  if (authority.changes !== changes && session.client === client) authority.recheck(session)
}

/** Makes the client its session's owner. One that needs no store comes in though that is away: nothing is stored under its id. */
async function claimSession(
  host: HandlerHost,
  client: Connection,
  cleanStart: boolean,
  expiryMs: number,
  will: StoredWill | null,
): Promise<Claim> {
  const { clientId } = client
  const node = host.settings.brokerId
  try {
    const claim = host.sessions.claim({
      clientId,
      node,
      user: client.username,
      userOnly: host.entry.isByUser(client),
      cleanStart,
      expiryMs,
      will: expiryMs > 0 ? will : null,
    })
    return claim instanceof Promise ? await claim : claim
  } catch (error) {
    if (!(error instanceof StoreAwayError) || expiryMs > 0 || host.roster.holds(clientId)) throw error
    return { epoch: 0, present: false, subscriptions: [], receivedIds: [], queued: { messages: 0, bytes: 0 }, ended: null }
  }
}

function willOf(client: Connection, now: number, { will }: ConnectPacket): StoredWill | null {
  if (will === undefined) return null
  const { willDelay, ...rest } = will.properties ?? {}
  const message = new Message({
    topic: will.topic,
    payload: will.payload,
    qos: will.qos,
    retain: will.retain,
    properties: Object.keys(rest).length > 0 ? rest : undefined,
    origin: 'will',
    clientId: client.clientId,
    username: client.username,
    receivedAt: now,
  })
  // A session that ends before the delay is over sends it too, and DISCONNECT may still change when that is [MQTT-3.1.2-8].
  const { username, rights, mountPoint } = client
  return { message, delayMs: (willDelay ?? 0) * 1000, username, rights, mountPoint: mountPoint === '' ? undefined : mountPoint }
}

function connackProperties(
  host: HandlerHost,
  client: Connection,
  packet: ConnectPacket,
  expiryMs: number,
  authData: Buffer | undefined,
): Properties {
  const { settings, capabilities } = host
  const { mqtt } = settings
  const properties: Properties = {}
  const asked = packet.properties ?? {}
  if (expiryToMs(asked.sessionExpiry ?? 0) !== expiryMs) properties.sessionExpiry = Math.floor(expiryMs / 1000)
  if (mqtt.receiveMaximum !== 65_535) properties.receiveMaximum = mqtt.receiveMaximum
  if (mqtt.maximumQoS < 2) properties.maximumQoS = mqtt.maximumQoS // [MQTT-3.2.2-9]
  if (!capabilities.retain) properties.retainAvailable = 0
  if (mqtt.maximumPacketSize < packetSizeMax) properties.maximumPacketSize = mqtt.maximumPacketSize
  if (client.assignedId) properties.assignedClientId = client.clientId
  if (mqtt.topicAliasMaximum > 0) properties.topicAliasMaximum = mqtt.topicAliasMaximum
  if (!capabilities.sharedSubscriptions) properties.sharedSubscriptionAvailable = 0
  if (client.keepAlive !== packet.keepAlive) properties.serverKeepAlive = client.keepAlive // [MQTT-3.1.2-21]
  if (asked.requestResponseInformation === 1 && mqtt.responseInformation !== null) properties.responseInformation = mqtt.responseInformation // [MQTT-3.1.2-28]
  if (client.auth !== null) properties.authenticationMethod = client.auth.method
  if (authData !== undefined) properties.authenticationData = authData
  return properties
}
