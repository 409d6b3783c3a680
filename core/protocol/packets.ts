import type { PacketType, ProtocolVersion, QoS } from './constants.ts'

/** Name and value; order and repeats are kept [MQTT-3.1.3-10] [MQTT-3.3.2-18]. */
export type UserProperty = readonly [name: string, value: string]

/** Every property of MQTT 5 (2.2.2.2), by its name in this project. Which packet may carry which is in `properties.ts`. */
export interface Properties {
  /** 0: bytes; 1: UTF-8 text. */
  payloadFormat?: number
  /** Seconds until the message has expired. Default: never. */
  messageExpiry?: number
  /** What the payload is, as its publisher says it: `application/json`. */
  contentType?: string
  /** The topic name for an answer. */
  responseTopic?: string
  /** Bytes that a requester puts into a request, and that come back with its response. */
  correlationData?: Buffer
  /** In PUBLISH to a client there may be several; in SUBSCRIBE one. */
  subscriptionIdentifiers?: number[]
  /** Seconds; 0xFFFFFFFF never expires. */
  sessionExpiry?: number
  /** CONNACK: the client id that the broker made up. */
  assignedClientId?: string
  /** CONNACK: seconds that take the place of the client's own Keep Alive. */
  serverKeepAlive?: number
  /** The name of the method of enhanced authentication (4.12). */
  authenticationMethod?: string
  /** Bytes of the method of enhanced authentication. */
  authenticationData?: Buffer
  /** CONNECT: 0: Reason Strings and User Properties only in PUBLISH, CONNACK and DISCONNECT; 1 (default): anywhere. */
  requestProblemInformation?: number
  /** CONNECT: seconds between the end of the connection and the will. Default 0. */
  willDelay?: number
  /** CONNECT: 1: CONNACK may hold `responseInformation`; 0 (default): it may not. */
  requestResponseInformation?: number
  /** CONNACK: the beginning of topic names for answers. */
  responseInformation?: string
  /** Another server to use, in CONNACK and DISCONNECT. */
  serverReference?: string
  /** Why, for people. */
  reasonString?: string
  /** How many QoS 1 and 2 messages may be in flight at once; default 65,535. */
  receiveMaximum?: number
  /** The highest topic alias that is taken; 0 (default): none. */
  topicAliasMaximum?: number
  /** A number that stands for the topic name. */
  topicAlias?: number
  /** CONNACK: 0 or 1, the highest QoS that the broker takes; default 2. */
  maximumQoS?: number
  /** CONNACK: 0: there are no retained messages; default 1. */
  retainAvailable?: number
  /** User Properties, in order. */
  userProperties?: UserProperty[]
  /** Bytes, of the whole packet. */
  maximumPacketSize?: number
  /** CONNACK: 0: filters may hold no wildcards; default 1. */
  wildcardSubscriptionAvailable?: number
  /** CONNACK: 0: there are no subscription identifiers; default 1. */
  subscriptionIdentifierAvailable?: number
  /** CONNACK: 0: there are no shared subscriptions; default 1. */
  sharedSubscriptionAvailable?: number
}

export interface WillPacket {
  /** The topic name that the will is published to. */
  topic: string
  /** What the will says. */
  payload: Buffer
  /** The QoS that the will is published with. */
  qos: QoS
  /** The will is to be retained. */
  retain: boolean
  /** The MQTT 5 properties; `undefined`: none. */
  properties: Properties | undefined
}

/** A CONNECT, as its client sent it. */
export interface ConnectPacket {
  /** The packet type, 1. */
  type: typeof PacketType.Connect
  /** The protocol level: 3 is MQTT 3.1, 4 is 3.1.1, 5 is 5.0. */
  version: ProtocolVersion
  /** The top bit of the protocol level, by which mosquitto's bridges say so. */
  bridge: boolean
  /** The client id; empty: the broker makes one up. */
  clientId: string
  /** Clean Session in 3.1 and 3.1.1. */
  cleanStart: boolean
  /** Seconds; 0 is never. */
  keepAlive: number
  /** The user name; `undefined`: none. */
  username: string | undefined
  /** The password; `undefined`: none. */
  password: Buffer | undefined
  /** The will; `undefined`: none. */
  will: WillPacket | undefined
  /** The MQTT 5 properties; `undefined`: none. */
  properties: Properties | undefined
}

/** A CONNACK: the answer to CONNECT. */
export interface ConnackPacket {
  /** The packet type, 2. */
  type: typeof PacketType.Connack
  /** The broker has a session of the client. */
  sessionPresent: boolean
  /** A reason code in MQTT 5, a return code before. */
  reasonCode: number
  /** The MQTT 5 properties; `undefined`: none. */
  properties: Properties | undefined
}

/** A PUBLISH: one application message. */
export interface PublishPacket {
  /** The packet type, 3. */
  type: typeof PacketType.Publish
  /** The DUP flag: it may be a repeat. */
  dup: boolean
  /** The Quality of Service. */
  qos: QoS
  /** The RETAIN flag. */
  retain: boolean
  /** Empty when MQTT 5's topic alias stands for it. */
  topic: string
  /** The packet identifier; 0 at QoS 0. */
  packetId: number
  /** The MQTT 5 properties; `undefined`: none. */
  properties: Properties | undefined
  /** From the decoder: a view into the bytes that were read, good until the call returns. */
  payload: Buffer
}

/** A PUBACK, PUBREC, PUBREL or PUBCOMP: a step of the handshake of a PUBLISH. */
export interface AckPacket {
  /** The packet type: 4 PUBACK, 5 PUBREC, 6 PUBREL, 7 PUBCOMP. */
  type: typeof PacketType.Puback | typeof PacketType.Pubrec | typeof PacketType.Pubrel | typeof PacketType.Pubcomp
  /** The packet identifier, 1 to 65,535. */
  packetId: number
  /** 0 where the packet leaves it out, and always before MQTT 5. */
  reasonCode: number
  /** The MQTT 5 properties; `undefined`: none. */
  properties: Properties | undefined
}

export interface SubscriptionRequest {
  /** The topic filter, with `$share/{name}/`. */
  filter: string
  /** The QoS that is asked for. */
  qos: QoS
  /** No Local: what the subscriber itself publishes is not sent to it [MQTT-3.8.3-3]. */
  noLocal: boolean
  /** Retain As Published: messages keep the RETAIN flag that they were published with [MQTT-3.3.1-13]. */
  retainAsPublished: boolean
  /** Retain Handling: retained messages are sent 0: at each subscribe, 1: at a new subscription only, 2: never [MQTT-3.3.1-9] to [MQTT-3.3.1-11]. */
  retainHandling: 0 | 1 | 2
}

/** A SUBSCRIBE. */
export interface SubscribePacket {
  /** The packet type, 8. */
  type: typeof PacketType.Subscribe
  /** The packet identifier, 1 to 65,535. */
  packetId: number
  /** What is asked for, in order. */
  subscriptions: SubscriptionRequest[]
  /** The MQTT 5 properties; `undefined`: none. */
  properties: Properties | undefined
}

/** A SUBACK: the answer to SUBSCRIBE. */
export interface SubackPacket {
  /** The packet type, 9. */
  type: typeof PacketType.Suback
  /** The packet identifier, 1 to 65,535. */
  packetId: number
  /** One for each topic filter, in their order: the QoS that is granted, or from 0x80 on a refusal. */
  reasonCodes: number[]
  /** The MQTT 5 properties; `undefined`: none. */
  properties: Properties | undefined
}

export interface UnsubscribePacket {
  /** The packet type, 10. */
  type: typeof PacketType.Unsubscribe
  /** The packet identifier, 1 to 65,535. */
  packetId: number
  /** The topic filters, in order. */
  filters: string[]
  /** The MQTT 5 properties; `undefined`: none. */
  properties: Properties | undefined
}

export interface UnsubackPacket {
  /** The packet type, 11. */
  type: typeof PacketType.Unsuback
  /** The packet identifier, 1 to 65,535. */
  packetId: number
  /** Empty before MQTT 5, which has none. */
  reasonCodes: number[]
  /** The MQTT 5 properties; `undefined`: none. */
  properties: Properties | undefined
}

export interface PingreqPacket {
  /** The packet type, 12. */
  type: typeof PacketType.Pingreq
}

export interface PingrespPacket {
  /** The packet type, 13. */
  type: typeof PacketType.Pingresp
}

/** A DISCONNECT. */
export interface DisconnectPacket {
  /** The packet type, 14. */
  type: typeof PacketType.Disconnect
  /** Why: a reason code; 0 (normal disconnection) before MQTT 5. */
  reasonCode: number
  /** The MQTT 5 properties; `undefined`: none. */
  properties: Properties | undefined
}

export interface AuthPacket {
  /** The packet type, 15. */
  type: typeof PacketType.Auth
  /** 0: success, 0x18: continue, 0x19: re-authenticate. */
  reasonCode: number
  /** The MQTT 5 properties; `undefined`: none. */
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

/** What a broker answers; PUBLISH is made once for many, and PINGRESP is always the same. */
export type BrokerPacket = ConnackPacket | AckPacket | SubackPacket | UnsubackPacket | DisconnectPacket | AuthPacket
