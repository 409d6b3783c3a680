import type { PacketType, ProtocolVersion, QoS } from './constants.ts'

/** Name and value; order and repeats are kept [MQTT-3.1.3-10] [MQTT-3.3.2-18]. */
export type UserProperty = readonly [name: string, value: string]

/** Every property of MQTT 5 (2.2.2.2), by its name in this project. Which packet may carry which is in `properties.ts`. */
export interface Properties {
  /** 0: bytes; 1: UTF-8 text. */
  payloadFormat?: number
  /** Seconds. */
  messageExpiry?: number
  contentType?: string
  responseTopic?: string
  correlationData?: Buffer
  /** In PUBLISH to a client there may be several; in SUBSCRIBE one. */
  subscriptionIdentifiers?: number[]
  /** Seconds; 0xFFFFFFFF never expires. */
  sessionExpiry?: number
  assignedClientId?: string
  /** Seconds. */
  serverKeepAlive?: number
  authenticationMethod?: string
  authenticationData?: Buffer
  requestProblemInformation?: number
  /** Seconds. */
  willDelay?: number
  requestResponseInformation?: number
  responseInformation?: string
  serverReference?: string
  reasonString?: string
  receiveMaximum?: number
  topicAliasMaximum?: number
  topicAlias?: number
  maximumQoS?: number
  retainAvailable?: number
  userProperties?: UserProperty[]
  /** Bytes, of the whole packet. */
  maximumPacketSize?: number
  wildcardSubscriptionAvailable?: number
  subscriptionIdentifierAvailable?: number
  sharedSubscriptionAvailable?: number
}

export interface WillPacket {
  topic: string
  payload: Buffer
  qos: QoS
  retain: boolean
  properties: Properties | undefined
}

/** A CONNECT, as its client sent it. */
export interface ConnectPacket {
  type: typeof PacketType.Connect
  version: ProtocolVersion
  /** The top bit of the protocol level, by which mosquitto's bridges say so. */
  bridge: boolean
  clientId: string
  /** Clean Session in 3.1 and 3.1.1. */
  cleanStart: boolean
  /** Seconds; 0 is never. */
  keepAlive: number
  username: string | undefined
  password: Buffer | undefined
  will: WillPacket | undefined
  properties: Properties | undefined
}

export interface ConnackPacket {
  type: typeof PacketType.Connack
  sessionPresent: boolean
  /** A reason code in MQTT 5, a return code before. */
  reasonCode: number
  properties: Properties | undefined
}

export interface PublishPacket {
  type: typeof PacketType.Publish
  dup: boolean
  qos: QoS
  retain: boolean
  /** Empty when MQTT 5's topic alias stands for it. */
  topic: string
  /** 0 at QoS 0. */
  packetId: number
  properties: Properties | undefined
  /** From the decoder: a view into the bytes that were read, good until the call returns. */
  payload: Buffer
}

export interface AckPacket {
  type: typeof PacketType.Puback | typeof PacketType.Pubrec | typeof PacketType.Pubrel | typeof PacketType.Pubcomp
  packetId: number
  /** 0 where the packet leaves it out, and always before MQTT 5. */
  reasonCode: number
  properties: Properties | undefined
}

export interface SubscriptionRequest {
  filter: string
  qos: QoS
  noLocal: boolean
  retainAsPublished: boolean
  retainHandling: 0 | 1 | 2
}

export interface SubscribePacket {
  type: typeof PacketType.Subscribe
  packetId: number
  subscriptions: SubscriptionRequest[]
  properties: Properties | undefined
}

export interface SubackPacket {
  type: typeof PacketType.Suback
  packetId: number
  reasonCodes: number[]
  properties: Properties | undefined
}

export interface UnsubscribePacket {
  type: typeof PacketType.Unsubscribe
  packetId: number
  filters: string[]
  properties: Properties | undefined
}

export interface UnsubackPacket {
  type: typeof PacketType.Unsuback
  packetId: number
  /** Empty before MQTT 5, which has none. */
  reasonCodes: number[]
  properties: Properties | undefined
}

export interface PingreqPacket {
  type: typeof PacketType.Pingreq
}

export interface PingrespPacket {
  type: typeof PacketType.Pingresp
}

export interface DisconnectPacket {
  type: typeof PacketType.Disconnect
  reasonCode: number
  properties: Properties | undefined
}

export interface AuthPacket {
  type: typeof PacketType.Auth
  reasonCode: number
  properties: Properties | undefined
}

/** Any packet of MQTT. */
export type Packet =
  | ConnectPacket
  | ConnackPacket
  | PublishPacket
  | AckPacket
  | SubscribePacket
  | SubackPacket
  | UnsubscribePacket
  | UnsubackPacket
  | PingreqPacket
  | PingrespPacket
  | DisconnectPacket
  | AuthPacket
