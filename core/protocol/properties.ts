import type { Properties } from './packets.ts'
import { malformed, protocolError, type Reader } from './reader.ts'
import { countUserProperty, LongUserProperties, unreadOf } from './user-properties.ts'
import type { Writer } from './writer.ts'

/** How a property lies on the wire (2.2.2.2). */
const Wire = { Byte: 0, TwoBytes: 1, FourBytes: 2, Variable: 3, Text: 4, Binary: 5, Pair: 6 } as const
type Wire = (typeof Wire)[keyof typeof Wire]

/** Where a property may stand. Bits, because most stand in several. */
export const Carrier = {
  Connect: 1,
  Connack: 2,
  Publish: 4,
  Will: 8,
  /** PUBACK, PUBREC, PUBREL and PUBCOMP. */
  Ack: 16,
  Subscribe: 32,
  Suback: 64,
  Unsubscribe: 128,
  Unsuback: 256,
  Disconnect: 512,
  Auth: 1024,
} as const

interface Definition {
  readonly id: number
  readonly name: keyof Properties
  readonly wire: Wire
  readonly carriers: number
  /** Values that are a protocol error. */
  readonly allows: ((value: number) => boolean) | null
}

const { Connect, Connack, Publish, Will, Ack, Subscribe, Suback, Unsubscribe, Unsuback, Disconnect, Auth } = Carrier
const flag = (value: number) => value <= 1
const positive = (value: number) => value > 0

function define(id: number, name: keyof Properties, wire: Wire, carriers: number, allows: Definition['allows'] = null): Definition {
  return { id, name, wire, carriers, allows }
}

const userPropertyId = 0x26
// Properties of so many bytes keep their user properties as bytes until somebody asks. Of shorter ones reading them at once is less work than that.
const longBytes = 1024

/** Every property of MQTT 5, once, in the order in which they are written: where it tells, as in CONNACK, that of mosquitto, whose tests compare bytes. */
const table: readonly Definition[] = [
  define(0x01, 'payloadFormat', Wire.Byte, Publish | Will, flag),
  define(0x02, 'messageExpiry', Wire.FourBytes, Publish | Will),
  define(0x03, 'contentType', Wire.Text, Publish | Will),
  define(0x08, 'responseTopic', Wire.Text, Publish | Will),
  define(0x09, 'correlationData', Wire.Binary, Publish | Will),
  define(0x0b, 'subscriptionIdentifiers', Wire.Variable, Publish | Subscribe, positive),
  define(0x11, 'sessionExpiry', Wire.FourBytes, Connect | Connack | Disconnect),
  define(0x22, 'topicAliasMaximum', Wire.TwoBytes, Connect | Connack),
  define(0x13, 'serverKeepAlive', Wire.TwoBytes, Connack),
  define(0x12, 'assignedClientId', Wire.Text, Connack),
  define(0x15, 'authenticationMethod', Wire.Text, Connect | Connack | Auth),
  define(0x16, 'authenticationData', Wire.Binary, Connect | Connack | Auth),
  define(0x17, 'requestProblemInformation', Wire.Byte, Connect, flag),
  define(0x18, 'willDelay', Wire.FourBytes, Will),
  define(0x19, 'requestResponseInformation', Wire.Byte, Connect, flag),
  define(0x1a, 'responseInformation', Wire.Text, Connack),
  define(0x1c, 'serverReference', Wire.Text, Connack | Disconnect),
  define(0x1f, 'reasonString', Wire.Text, Connack | Ack | Suback | Unsuback | Disconnect | Auth),
  // 0 and values above the maximum are told apart from other mistakes by their own reason code, so the broker judges them.
  define(0x23, 'topicAlias', Wire.TwoBytes, Publish),
  define(0x25, 'retainAvailable', Wire.Byte, Connack, flag),
  define(
    userPropertyId,
    'userProperties',
    Wire.Pair,
    Connect | Connack | Publish | Will | Ack | Subscribe | Suback | Unsubscribe | Unsuback | Disconnect | Auth,
  ),
  define(0x27, 'maximumPacketSize', Wire.FourBytes, Connect | Connack, positive),
  define(0x21, 'receiveMaximum', Wire.TwoBytes, Connect | Connack, positive),
  define(0x24, 'maximumQoS', Wire.Byte, Connack, flag),
  define(0x28, 'wildcardSubscriptionAvailable', Wire.Byte, Connack, flag),
  define(0x29, 'subscriptionIdentifierAvailable', Wire.Byte, Connack, flag),
  define(0x2a, 'sharedSubscriptionAvailable', Wire.Byte, Connack, flag),
]

const byId: (Definition | undefined)[] = []
for (const definition of table) byId[definition.id] = definition

type Values = Record<string, unknown>

/** Reads the properties of one packet, length first; `undefined` where there are none. */
export function readProperties(reader: Reader, carrier: number): Properties | undefined {
  const length = reader.variable()
  if (length === 0) return undefined
  const end = reader.at + length
  if (end > reader.end) throw malformed('the properties are longer than their packet')
  const packetEnd = reader.end
  reader.end = end
  const properties: Properties = {}
  const long = length < longBytes ? null : new LongUserProperties()
  while (reader.at < end) {
    if (long !== null && reader.bytes[reader.at] === userPropertyId) long.pass(reader)
    else readProperty(reader, carrier, properties as Values)
  }
  long?.give(properties, reader)
  reader.end = packetEnd
  const { responseTopic } = properties
  if (responseTopic !== undefined) {
    if (responseTopic === '') throw protocolError('the Response Topic is empty') // [MQTT-4.7.3-1]
    if (responseTopic.includes('+') || responseTopic.includes('#')) throw protocolError('the Response Topic holds a wildcard') // [MQTT-3.3.2-14]
  }
  if (properties.authenticationData !== undefined && properties.authenticationMethod === undefined) {
    throw protocolError('Authentication Data without an Authentication Method')
  }
  return properties
}

function readProperty(reader: Reader, carrier: number, properties: Values): void {
  const id = reader.variable()
  const definition = byId[id]
  if (definition === undefined) throw malformed(`unknown property 0x${id.toString(16)}`)
  const { name, wire, carriers, allows } = definition
  if ((carriers & carrier) === 0) throw malformed(`${name} does not belong in this packet`) // 2.2.2.2
  if (wire === Wire.Pair) {
    const list = (properties[name] ??= []) as unknown[]
    countUserProperty(list.length, reader)
    list.push([reader.text(), reader.text()])
    return
  }
  if (name === 'subscriptionIdentifiers') {
    const list = (properties[name] ??= []) as number[]
    if (carrier === Subscribe && list.length > 0) throw protocolError('two Subscription Identifiers')
    list.push(checked(reader.variable(), allows, name))
    return
  }
  if (properties[name] !== undefined) throw protocolError(`${name} comes twice`)
  properties[name] = readValue(reader, wire, allows, name)
}

function readValue(reader: Reader, wire: Wire, allows: Definition['allows'], name: string): unknown {
  switch (wire) {
    case Wire.Byte:
      return checked(reader.byte(), allows, name)
    case Wire.TwoBytes:
      return checked(reader.twoBytes(), allows, name)
    case Wire.FourBytes:
      return checked(reader.fourBytes(), allows, name)
    case Wire.Text:
      return reader.text()
    default:
      return reader.binary()
  }
}

function checked(value: number, allows: Definition['allows'], name: string): number {
  if (allows?.(value) === false) throw protocolError(`${name} must not be ${value}`)
  return value
}

/** Writes properties, length first; nothing but a zero where there are none. */
export function writeProperties(writer: Writer, properties: Properties | undefined): void {
  if (properties === undefined) {
    writer.byte(0)
    return
  }
  const inner = writer.nested()
  const values = properties as Values
  const unread = unreadOf(properties)
  if (unread !== null) inner.raw(unread.bytes)
  for (let i = 0; i < table.length; i++) {
    const definition = table[i]!
    if (unread !== null && definition.wire === Wire.Pair) continue
    const value = values[definition.name]
    if (value !== undefined) writeProperty(inner, definition, value)
  }
  writer.variable(inner.length)
  writer.append(inner)
}

function writeProperty(writer: Writer, { id, name, wire }: Definition, value: unknown): void {
  if (wire === Wire.Pair) {
    for (const [key, text] of value as [string, string][]) {
      writer.byte(id)
      writer.text(key)
      writer.text(text)
    }
    return
  }
  if (name === 'subscriptionIdentifiers') {
    for (const identifier of value as number[]) {
      writer.byte(id)
      writer.variable(identifier)
    }
    return
  }
  writer.byte(id)
  switch (wire) {
    case Wire.Byte:
      return writer.byte(value as number)
    case Wire.TwoBytes:
      return writer.twoBytes(value as number)
    case Wire.FourBytes:
      return writer.fourBytes(value as number)
    case Wire.Text:
      return writer.text(value as string)
    default:
      return writer.binary(value as Buffer)
  }
}
