// The packets that handlers and events of aedes' API are given, in the form that mqtt-packet gives them.

/** The Quality of Service. */
export type QoS = 0 | 1 | 2

/** What MQTT 5 carries with a message, by aedes' and mqtt-packet's names. */
export interface PublishProperties {
  /** The payload is UTF-8 text. */
  payloadFormatIndicator?: boolean
  /** Seconds until the message has expired. */
  messageExpiryInterval?: number
  /** The topic name for an answer. */
  responseTopic?: string
  /** Bytes that come back with an answer. */
  correlationData?: Buffer
  /** User Properties; of a name that comes several times, all values in order. */
  userProperties?: Record<string, string | string[]>
  /** What the payload is: `application/json`. */
  contentType?: string
}

/** A PUBLISH. */
export interface PublishPacket {
  /** Always `publish`. */
  cmd: 'publish'
  /** The topic name. */
  topic: string
  /** The payload; a text is taken as UTF-8. Handlers are given bytes. */
  payload: string | Buffer
  /** The Quality of Service. */
  qos: QoS
  /** The message is to be retained. */
  retain: boolean
  /** It may be a repeat. */
  dup: boolean
  /** The packet identifier, where a client sent the packet at QoS 1 or 2. */
  messageId?: number | undefined
  /** Bytes of the packet behind its fixed header, where a client sent it. */
  length?: number
  /** What MQTT 5 carries with it; absent: nothing. */
  properties?: PublishProperties
}

/** A PUBLISH that the program itself makes: everything but the topic may be left out. */
export type OwnPublishPacket = Pick<PublishPacket, 'topic'> &
  Partial<Omit<PublishPacket, 'topic' | 'payload'>> & { payload?: string | Buffer | Uint8Array }

/** A message that the broker has accepted. */
export interface AedesPublishPacket extends PublishPacket {
  /** The id of the broker that made this packet. */
  brokerId: string
  /** A number that is another one for each packet that this broker makes. */
  brokerCounter: number
  /** The client that published it; absent where the program, or the broker itself, did. */
  clientId?: string
}

/** One topic filter of a SUBSCRIBE. */
export interface Subscription {
  /** The topic filter, with `$share/{name}/`. */
  topic: string
  /** The QoS that is asked for; in the event `subscribe` the one that was granted, 128 where it was refused. */
  qos: QoS | 128
  /** No Local; of MQTT 5 clients only. */
  nl?: boolean | undefined
  /** Retain As Published; of MQTT 5 clients only. */
  rap?: boolean | undefined
  /** Retain Handling; of MQTT 5 clients only. */
  rh?: number | undefined
}

/** What `client.subscribe` takes beside one subscription or a list of them. */
export interface Subscriptions {
  /** The topic filters. */
  subscriptions: Subscription[]
}

/** A SUBSCRIBE. */
export interface SubscribePacket extends Subscriptions {
  /** Always `subscribe`. */
  cmd: 'subscribe'
  /** The packet identifier. */
  messageId?: number
}

/** An UNSUBSCRIBE. */
export interface UnsubscribePacket {
  /** Always `unsubscribe`. */
  cmd: 'unsubscribe'
  /** The packet identifier. */
  messageId?: number
  /** The topic filters. */
  unsubscriptions: string[]
}

/** The will of a CONNECT. */
export interface WillPacket {
  /** The topic name that it is published to. */
  topic: string
  /** What it says. */
  payload: Buffer
  /** The QoS that it is published with. */
  qos: QoS
  /** It is to be retained. */
  retain: boolean
}

/** A CONNECT. `preConnect` may change `username`, `password` and `keepalive`. */
export interface ConnectPacket {
  /** Always `connect`. */
  cmd: 'connect'
  /** `MQIsdp` is MQTT 3.1, `MQTT` all later ones. */
  protocolId: 'MQTT' | 'MQIsdp'
  /** 3 is MQTT 3.1, 4 is 3.1.1, 5 is 5.0. */
  protocolVersion: 3 | 4 | 5
  /** The client is a bridge to another broker. */
  bridgeMode: boolean
  /** The client id; empty: the broker makes one up. */
  clientId: string
  /** Clean Session; in MQTT 5 Clean Start. */
  clean: boolean
  /** Seconds; 0 is never. */
  keepalive: number
  /** The user name; `undefined`: none. */
  username?: string | undefined
  /** The password; `undefined`: none. */
  password?: Buffer | undefined
  /** The will; `undefined`: none. */
  will?: WillPacket | undefined
}

/** A CONNACK. */
export interface ConnackPacket {
  /** Always `connack`. */
  cmd: 'connack'
  /** 0: the client is let in. An MQTT 5 client was told the reason code that fits. */
  returnCode: number
  /** The broker has a session of the client. */
  sessionPresent: boolean
}

/** A PINGREQ. */
export interface PingreqPacket {
  /** Always `pingreq`. */
  cmd: 'pingreq'
  /** Bytes behind the fixed header: none. */
  length: 0
}

/** A PUBREL. */
export interface PubrelPacket {
  /** Always `pubrel`. */
  cmd: 'pubrel'
  /** The packet identifier. */
  messageId: number
}
