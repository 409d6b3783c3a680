import { PacketType, type ProtocolVersion } from '../../core/protocol/constants.ts'
import type { ConnackPacket, ConnectPacket, Properties, SubscribePacket } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import { reasonName } from '../kit/reason-name.ts'
import { shownText } from '../kit/shown-text.ts'
import type { RemoteLimits } from './remote-limits.ts'
import type { BridgeRule, ConnectionOptions } from './rules.ts'
import { trailProperty } from './trail.ts'

const versions = { '5': 5, '3.1.1': 4, '3.1': 3 } as const
const neverExpires = 0xffffffff

export function versionOf({ version }: ConnectionOptions): ProtocolVersion {
  return versions[version]
}

/** What a CONNECT says besides what the options say. */
export interface ConnectFacts {
  readonly clientId: string
  readonly password: Buffer | undefined
  /** By which bridges know this broker. */
  readonly id: string
  /** Before MQTT 5: it says that it is a bridge. */
  readonly isPrivate: boolean
  /** Where the other broker is to say that the connection has gone; null: nowhere. */
  readonly stateTopic: string | null
}

export function connectPacket(options: ConnectionOptions, { clientId, password, id, isPrivate, stateTopic }: ConnectFacts): ConnectPacket {
  const version = versionOf(options)
  const { username, cleanStart, keepAlive, sessionExpiry, receiveMaximum, maximumPacketSize } = options
  const properties: Properties = {
    receiveMaximum,
    maximumPacketSize,
    userProperties: [[trailProperty, id]],
  }
  if (!cleanStart) properties.sessionExpiry = sessionExpiry === undefined ? neverExpires : Math.ceil(sessionExpiry / 1000)
  return {
    type: PacketType.Connect,
    version,
    bridge: version !== 5 && isPrivate,
    clientId,
    cleanStart,
    keepAlive: Math.ceil(keepAlive / 1000),
    username,
    password,
    will: stateTopic === null ? undefined : { topic: stateTopic, payload: Buffer.from('0'), qos: 1, retain: true, properties: undefined },
    properties: version === 5 ? properties : undefined,
  }
}

/** What the other broker takes, as its CONNACK says it. */
export function limitsOf(options: ConnectionOptions, { properties = {} }: ConnackPacket): RemoteLimits {
  return {
    version: versionOf(options),
    window: Math.min(options.window, properties.receiveMaximum ?? 65_535),
    maximumQoS: (properties.maximumQoS ?? 2) as RemoteLimits['maximumQoS'],
    retain: properties.retainAvailable !== 0,
    maximumPacketSize: properties.maximumPacketSize ?? Number.POSITIVE_INFINITY,
  }
}

/** Asks for what comes in. Retained messages that are there already come where the subscription is new (before MQTT 5 always). */
export function subscribePacket(rules: readonly BridgeRule[], packetId: number): SubscribePacket {
  return {
    type: PacketType.Subscribe,
    packetId,
    subscriptions: rules.map(({ filter, qos, retained }) => ({
      filter,
      qos,
      noLocal: true,
      retainAsPublished: true,
      retainHandling: retained ? 1 : 2,
    })),
    properties: undefined,
  }
}

const before5: Readonly<Record<number, ReasonCode>> = {
  1: ReasonCode.UnsupportedProtocolVersion,
  2: ReasonCode.ClientIdentifierNotValid,
  3: ReasonCode.ServerUnavailable,
  4: ReasonCode.BadUserNameOrPassword,
  5: ReasonCode.NotAuthorized,
}

/** The reason code of MQTT 5 for what a CONNACK says. */
export function connackReason(version: ProtocolVersion, code: number): number {
  return version === 5 || code === 0 ? code : (before5[code] ?? ReasonCode.UnspecifiedError)
}

/** Why a CONNECT was refused, with the cure. `at`: where the connection stands in the config. */
export function refusalText(reason: number, { properties }: ConnackPacket, at: string): string {
  return `it refuses the connection with ${reasonName(reason)}${wordsOf(properties)}; ${cureOf(reason, at)}`
}

/** What another broker says in words, behind what it means: it may be anything. */
export function wordsOf(properties: Properties | undefined): string {
  return properties?.reasonString === undefined ? '' : `: ${shownText(properties.reasonString)}`
}

function cureOf(reason: number, at: string): string {
  switch (reason) {
    case ReasonCode.BadUserNameOrPassword:
    case ReasonCode.NotAuthorized:
      return `correct ${at}.username and its password`
    case ReasonCode.UnsupportedProtocolVersion:
      return `set ${at}.version to what it speaks`
    case ReasonCode.ClientIdentifierNotValid:
      return `set ${at}.clientId to one that it takes`
    case ReasonCode.TopicNameInvalid:
      return `set ${at}.notificationTopic to a topic that clients may publish to`
    default:
      return 'look at its log'
  }
}
