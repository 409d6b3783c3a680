import { isDeepStrictEqual } from 'node:util'
import type { ConnectPacket as CoreConnect, Delivery, Message, Properties, UserProperty } from '../index.ts'
import type { AedesPublishPacket, ConnectPacket, PublishPacket, PublishProperties } from './packet-types.ts'

/** The numbers by which packets of one broker are told apart. */
export interface PacketSource {
  /** The broker's id. */
  readonly id: string
  /** The number of the next packet. */
  next(): number
}

/** What of a message a packet shows. */
interface Shown {
  readonly topic: string
  readonly payload: Buffer
  readonly retain: boolean
  readonly properties: Properties | undefined
}

/** A message that has been accepted, as `aedes.subscribe`, `publish` and `authorizeForward` see it. `shown`: as one subscriber gets it. */
export function acceptedPacket(
  source: PacketSource,
  message: Message,
  messageId: number | undefined,
  shown: Shown = message,
): AedesPublishPacket {
  const packet: AedesPublishPacket = {
    cmd: 'publish',
    brokerId: source.id,
    brokerCounter: source.next(),
    topic: shown.topic,
    payload: shown.payload,
    qos: message.qos,
    retain: shown.retain,
    dup: false,
  }
  if (message.qos > 0) packet.messageId = messageId
  if (message.clientId !== '') packet.clientId = message.clientId
  if (shown.properties !== undefined) packet.properties = propertiesOf(shown.properties)
  return packet
}

/** A message of a client that is yet to be judged. */
export function inboundPacket(message: Message, messageId: number | undefined): PublishPacket {
  const { topic, payload, qos, retain, properties } = message
  const packet: PublishPacket = { cmd: 'publish', retain, qos, dup: false, topic, payload }
  if (message.origin === 'client') packet.length = 2 + Buffer.byteLength(topic) + (qos > 0 ? 2 : 0) + payload.length
  if (messageId !== undefined) packet.messageId = messageId
  if (properties !== undefined) packet.properties = propertiesOf(properties)
  return packet
}

/** Puts into a message what a handler has changed in its packet. */
export function changeMessage(message: Message, { topic, payload, qos, retain, properties }: PublishPacket): void {
  if (topic !== message.topic) message.topic = topic
  if (payload !== message.payload) message.payload = payload
  message.qos = qos
  message.retain = retain
  const changed = changedProperties(message.properties, properties)
  if (changed !== unchanged) message.properties = changed
}

/** The same for what goes to one subscriber. */
export function changeDelivery(delivery: Delivery, { topic, payload, retain, properties }: AedesPublishPacket): void {
  if (topic !== delivery.topic) delivery.topic = topic
  if (payload !== delivery.payload) delivery.payload = payload
  delivery.retain = retain
  const changed = changedProperties(delivery.properties, properties)
  if (changed !== unchanged) delivery.properties = changed
}

const unchanged = Symbol('unchanged')

function changedProperties(
  before: Properties | undefined,
  after: PublishProperties | undefined,
): Properties | undefined | typeof unchanged {
  if (isDeepStrictEqual(before && propertiesOf(before), after)) return unchanged
  return after && coreProperties(after)
}

/** A CONNECT as `preConnect` sees it. */
export function connectPacket({
  version,
  bridge,
  clientId,
  cleanStart,
  keepAlive,
  username,
  password,
  will,
}: Readonly<CoreConnect>): ConnectPacket {
  return {
    cmd: 'connect',
    protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
    protocolVersion: version,
    bridgeMode: bridge,
    clean: cleanStart,
    clientId,
    keepalive: keepAlive,
    username,
    password,
    will: will && { topic: will.topic, payload: will.payload, qos: will.qos, retain: will.retain },
  }
}

/** What a program gives with a message, by this broker's names. */
export function coreProperties(properties: PublishProperties): Properties {
  const { payloadFormatIndicator, messageExpiryInterval, userProperties, contentType, responseTopic, correlationData } = properties
  const pairs = Object.entries(userProperties ?? {}).flatMap(([name, values]) =>
    (Array.isArray(values) ? values : [values]).map((value): UserProperty => [name, value]),
  )
  return {
    ...(payloadFormatIndicator === undefined ? {} : { payloadFormat: payloadFormatIndicator ? 1 : 0 }),
    ...(messageExpiryInterval === undefined ? {} : { messageExpiry: messageExpiryInterval }),
    ...(contentType === undefined ? {} : { contentType }),
    ...(responseTopic === undefined ? {} : { responseTopic }),
    ...(correlationData === undefined ? {} : { correlationData }),
    ...(pairs.length === 0 ? {} : { userProperties: pairs }),
  }
}

function propertiesOf(properties: Properties): PublishProperties {
  const { payloadFormat, messageExpiry, userProperties, contentType, responseTopic, correlationData } = properties
  return {
    ...(payloadFormat === undefined ? {} : { payloadFormatIndicator: payloadFormat === 1 }),
    ...(messageExpiry === undefined ? {} : { messageExpiryInterval: messageExpiry }),
    ...(contentType === undefined ? {} : { contentType }),
    ...(responseTopic === undefined ? {} : { responseTopic }),
    ...(correlationData === undefined ? {} : { correlationData }),
    ...(userProperties === undefined ? {} : { userProperties: recordOf(userProperties) }),
  }
}

/** As mqtt-packet gives them: a name that comes several times has a list. */
function recordOf(pairs: readonly UserProperty[]): Record<string, string | string[]> {
  const record: Record<string, string | string[]> = Object.create(null)
  for (const [name, value] of pairs) {
    const before = record[name]
    record[name] = before === undefined ? value : Array.isArray(before) ? [...before, value] : [before, value]
  }
  return record
}
