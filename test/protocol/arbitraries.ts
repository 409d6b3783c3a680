import fc from 'fast-check'
import { PacketType, type ProtocolVersion, type QoS } from '../../core/protocol/constants.ts'
import type { Packet, Properties, PublishPacket, UserProperty, WillPacket } from '../../core/protocol/packets.ts'

/** Any legal packet, for comparing this codec with another one. */

// One to four bytes a character, with a BOM, a control character and a non-character, which are all legal.
const letters = ['a', 'b', '1', ' ', '/', '$', 'é', '€', '😀', '\ufeff', '\u0001', '\uffff']
const aName = fc.oneof(
  { weight: 9, arbitrary: fc.string({ unit: fc.constantFrom(...letters), minLength: 1, maxLength: 8 }) },
  // Long enough for a second byte in the lengths of properties and packets.
  { weight: 1, arbitrary: fc.constantFrom('x'.repeat(300), 'é'.repeat(64), '__proto__') },
)
const aText = fc.oneof({ weight: 9, arbitrary: aName }, { weight: 1, arbitrary: fc.constant('') })
const aFilter = fc.constantFrom('a', 'a/b', '+', '#', 'a/+/c', '/', '$SYS/#', 'sport/+/player1')
const someBytes = fc.uint8Array({ maxLength: 40 }).map(bytes => Buffer.from(bytes))
const aByte = fc.integer({ min: 0, max: 1 })
const twoBytes = fc.integer({ min: 0, max: 0xffff })
const fourBytes = fc.integer({ min: 0, max: 0xffff_ffff })
const anId = fc.integer({ min: 1, max: 0xffff })
const aQoS = fc.constantFrom<QoS>(0, 1, 2)
// The oracle forgets an empty value when its name comes again, so empty names and values come alone.
const userProperties = fc.oneof(
  { weight: 9, arbitrary: fc.array(fc.tuple(aName, aName) as fc.Arbitrary<UserProperty>, { minLength: 1, maxLength: 3 }) },
  { weight: 1, arbitrary: fc.tuple(fc.tuple(aText, aText) as fc.Arbitrary<UserProperty>) },
)
const anIdentifier = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 268_435_455 }))
const somePayload = fc.oneof(
  { weight: 19, arbitrary: someBytes },
  { weight: 1, arbitrary: fc.constantFrom(...[16_384, 20_000].map(aPayload)) },
)
const authentication = { authenticationMethod: aText, authenticationData: someBytes }

function aPayload(size: number): Buffer {
  return Buffer.alloc(size, 'x')
}

function some(properties: Record<string, fc.Arbitrary<unknown>>, version: ProtocolVersion): fc.Arbitrary<Properties | undefined> {
  if (version !== 5) return fc.constant(undefined)
  return fc.record(properties, { requiredKeys: [] }).map(found => {
    const legal: Properties = found
    if (legal.authenticationMethod === undefined) delete legal.authenticationData
    return Object.keys(legal).length === 0 ? undefined : legal
  })
}

const about = {
  payloadFormat: aByte,
  messageExpiry: fourBytes,
  contentType: aText,
  responseTopic: aName,
  correlationData: someBytes,
  userProperties,
}

const reasons = { reasonString: aText, userProperties }

function aWill(version: ProtocolVersion): fc.Arbitrary<WillPacket> {
  return fc.record({
    topic: aName,
    payload: someBytes,
    qos: aQoS,
    retain: fc.boolean(),
    properties: some({ ...about, willDelay: fourBytes }, version),
  })
}

export function aConnect(version: ProtocolVersion): fc.Arbitrary<Packet> {
  const limits = {
    sessionExpiry: fourBytes,
    requestProblemInformation: aByte,
    requestResponseInformation: aByte,
    receiveMaximum: anId,
    topicAliasMaximum: twoBytes,
    userProperties,
    maximumPacketSize: fc.integer({ min: 1, max: 0xffff_ffff }),
    ...authentication,
  }
  return (
    fc
      .record({
        type: fc.constant(PacketType.Connect),
        version: fc.constant(version),
        bridge: version === 5 ? fc.constant(false) : fc.boolean(),
        clientId: aText,
        cleanStart: fc.boolean(),
        keepAlive: twoBytes,
        username: fc.option(aText, { nil: undefined }),
        password: fc.option(someBytes, { nil: undefined }),
        will: fc.option(aWill(version), { nil: undefined }),
        properties: some(limits, version),
      })
      // MQTT 5 allows a password alone; the oracle does not, so that has a case of its own.
      .map(packet => (packet.username === undefined ? { ...packet, password: undefined } : packet))
      // Nor does it write an empty client id where the server may not give another one.
      .map(packet => (version === 3 || !packet.cleanStart ? { ...packet, clientId: packet.clientId || 'c' } : packet))
  )
}

/** A PUBLISH to a client may carry Subscription Identifiers. */
export function aPublish(version: ProtocolVersion, from: 'client' | 'server'): fc.Arbitrary<PublishPacket> {
  const identifiers = from === 'client' ? {} : { subscriptionIdentifiers: fc.array(anIdentifier, { minLength: 1, maxLength: 3 }) }
  return fc
    .record({
      type: fc.constant(PacketType.Publish),
      dup: fc.boolean(),
      qos: aQoS,
      retain: fc.boolean(),
      topic: aText,
      packetId: anId,
      properties: some({ ...about, topicAlias: anId, ...identifiers }, version),
      payload: somePayload,
    })
    .map(packet => (packet.qos === 0 ? { ...packet, dup: false, packetId: 0 } : packet))
    .map(packet => (packet.properties?.topicAlias === undefined ? { ...packet, topic: packet.topic || 't' } : packet))
}

function anAck(version: ProtocolVersion): fc.Arbitrary<Packet> {
  const { Puback, Pubrec, Pubrel, Pubcomp } = PacketType
  const ack = (types: readonly (4 | 5 | 6 | 7)[], codes: readonly number[]): fc.Arbitrary<Packet> =>
    fc.record({
      type: fc.constantFrom(...types),
      packetId: anId,
      reasonCode: version === 5 ? fc.constantFrom(...codes) : fc.constant(0),
      properties: some(reasons, version),
    })
  return fc.oneof(ack([Puback, Pubrec], [0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]), ack([Pubrel, Pubcomp], [0, 0x92]))
}

function anAuth(codes: readonly number[]): fc.Arbitrary<Packet> {
  return fc.record({
    type: fc.constant(PacketType.Auth),
    reasonCode: fc.constantFrom(...codes),
    properties: fc.record({ ...authentication, ...reasons }, { requiredKeys: ['authenticationMethod'] }),
  })
}

const clientDisconnects = [0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99]
const serverDisconnects = [0x00, 0x82, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x9a, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2]
const subacks = [0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2]
const unsubacks = [0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91]

/** What clients send. */
export function aClientPacket(version: ProtocolVersion): fc.Arbitrary<Packet> {
  const five = version === 5
  const kinds: fc.Arbitrary<Packet>[] = [
    aConnect(version),
    aPublish(version, 'client'),
    anAck(version),
    fc.record({
      type: fc.constant(PacketType.Subscribe),
      packetId: anId,
      properties: some({ subscriptionIdentifiers: anIdentifier.map(id => [id]), userProperties }, version),
      subscriptions: fc.array(
        fc.record({
          filter: aFilter,
          qos: aQoS,
          noLocal: five ? fc.boolean() : fc.constant(false),
          retainAsPublished: five ? fc.boolean() : fc.constant(false),
          retainHandling: five ? fc.constantFrom(0, 1, 2) : fc.constant(0),
        }),
        { minLength: 1, maxLength: 4 },
      ),
    }) as fc.Arbitrary<Packet>,
    fc.record({
      type: fc.constant(PacketType.Unsubscribe),
      packetId: anId,
      filters: fc.array(aFilter, { minLength: 1, maxLength: 4 }),
      properties: some({ userProperties }, version),
    }),
    fc.constant({ type: PacketType.Pingreq }),
    fc.record({
      type: fc.constant(PacketType.Disconnect),
      reasonCode: five ? fc.constantFrom(...clientDisconnects) : fc.constant(0),
      properties: some({ sessionExpiry: fourBytes, ...reasons }, version),
    }),
  ]
  if (five) kinds.push(anAuth([0x18, 0x19]))
  return fc.oneof(...kinds)
}

/** What servers send. */
export function aServerPacket(version: ProtocolVersion): fc.Arbitrary<Packet> {
  const five = version === 5
  const connack = {
    sessionExpiry: fourBytes,
    assignedClientId: aText,
    serverKeepAlive: twoBytes,
    responseInformation: aText,
    serverReference: aText,
    receiveMaximum: anId,
    topicAliasMaximum: twoBytes,
    maximumQoS: aByte,
    retainAvailable: aByte,
    wildcardSubscriptionAvailable: aByte,
    subscriptionIdentifierAvailable: aByte,
    maximumPacketSize: fc.integer({ min: 1, max: 0xffff_ffff }),
    sharedSubscriptionAvailable: aByte,
    ...authentication,
    ...reasons,
  }
  const kinds: fc.Arbitrary<Packet>[] = [
    aPublish(version, 'server'),
    anAck(version),
    fc.record({
      type: fc.constant(PacketType.Connack),
      sessionPresent: fc.boolean(),
      reasonCode: five ? fc.constantFrom(0, 0x80, 0x84, 0x87, 0x9f) : fc.constantFrom(0, 1, 2, 3, 4, 5),
      properties: some(connack, version),
    }),
    fc.record({
      type: fc.constant(PacketType.Suback),
      packetId: anId,
      reasonCodes: fc.array(fc.constantFrom(...(five ? subacks : [0, 1, 2, 0x80])), { minLength: 1, maxLength: 4 }),
      properties: some(reasons, version),
    }),
    fc.record({
      type: fc.constant(PacketType.Unsuback),
      packetId: anId,
      reasonCodes: five ? fc.array(fc.constantFrom(...unsubacks), { minLength: 1, maxLength: 4 }) : fc.constant<number[]>([]),
      properties: some(reasons, version),
    }),
    fc.constant({ type: PacketType.Pingresp }),
  ]
  if (five) {
    kinds.push(
      fc.record({
        type: fc.constant(PacketType.Disconnect),
        reasonCode: fc.constantFrom(...serverDisconnects),
        properties: some({ serverReference: aText, ...reasons }, version),
      }),
      anAuth([0x00, 0x18]),
    )
  }
  return fc.oneof(...kinds)
}
