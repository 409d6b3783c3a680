import fc from 'fast-check'
import { PacketType, type ProtocolVersion, type QoS } from '../../core/protocol/constants.ts'
import type { Packet, Properties, UserProperty, WillPacket } from '../../core/protocol/packets.ts'

/** Any legal packet, for comparing this codec with another one. */

const aText = fc.string({ unit: 'grapheme', maxLength: 12 }).filter(text => !text.includes('\0') && Buffer.from(text).toString() === text)
const aName = aText.filter(text => text.length > 0 && !/[+#]/.test(text))
const aFilter = fc.constantFrom('a', 'a/b', '+', '#', 'a/+/c', '/', '$SYS/#', 'sport/+/player1')
const someBytes = fc.uint8Array({ maxLength: 40 }).map(bytes => Buffer.from(bytes))
const aByte = fc.integer({ min: 0, max: 1 })
const twoBytes = fc.integer({ min: 0, max: 0xffff })
const fourBytes = fc.integer({ min: 0, max: 0xffff_ffff })
const anId = fc.integer({ min: 1, max: 0xffff })
const aQoS = fc.constantFrom<QoS>(0, 1, 2)
const userProperties = fc.array(fc.tuple(aName, aText) as fc.Arbitrary<UserProperty>, { minLength: 1, maxLength: 3 })

function some(properties: Record<string, fc.Arbitrary<unknown>>, version: ProtocolVersion): fc.Arbitrary<Properties | undefined> {
  if (version !== 5) return fc.constant(undefined)
  return fc.record(properties, { requiredKeys: [] }).map(found => (Object.keys(found).length === 0 ? undefined : (found as Properties)))
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
    authenticationMethod: aText,
  }
  return (
    fc
      .record({
        type: fc.constant(PacketType.Connect),
        version: fc.constant(version),
        bridge: fc.constant(false),
        clientId: aName,
        cleanStart: fc.boolean(),
        keepAlive: twoBytes,
        username: fc.option(aText, { nil: undefined }),
        password: fc.option(someBytes, { nil: undefined }),
        will: fc.option(aWill(version), { nil: undefined }),
        properties: some(limits, version),
      })
      // MQTT 5 allows a password alone; the oracle does not, so that has a case of its own.
      .map(packet => (packet.username === undefined ? { ...packet, password: undefined } : packet))
  )
}

export function aPublish(version: ProtocolVersion): fc.Arbitrary<Packet> {
  return fc
    .record({
      type: fc.constant(PacketType.Publish),
      dup: fc.boolean(),
      qos: aQoS,
      retain: fc.boolean(),
      topic: aName,
      packetId: anId,
      properties: some({ ...about, topicAlias: anId }, version),
      payload: fc.oneof({ weight: 9, arbitrary: someBytes }, { weight: 1, arbitrary: fc.constant(Buffer.alloc(20_000, 'x')) }),
    })
    .map(packet => (packet.qos === 0 ? { ...packet, dup: false, packetId: 0 } : packet))
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
  return fc.oneof(ack([Puback, Pubrec], [0, 0x10, 0x80, 0x87, 0x97]), ack([Pubrel, Pubcomp], [0, 0x92]))
}

/** What clients send. */
export function aClientPacket(version: ProtocolVersion): fc.Arbitrary<Packet> {
  const five = version === 5
  const kinds: fc.Arbitrary<Packet>[] = [
    aConnect(version),
    aPublish(version),
    anAck(version),
    fc.record({
      type: fc.constant(PacketType.Subscribe),
      packetId: anId,
      properties: some({ subscriptionIdentifiers: fc.integer({ min: 1, max: 268_435_455 }).map(id => [id]), userProperties }, version),
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
      reasonCode: five ? fc.constantFrom(0, 4, 0x80, 0x82) : fc.constant(0),
      properties: some({ sessionExpiry: fourBytes, ...reasons }, version),
    }),
  ]
  if (five) {
    kinds.push(
      fc.record({
        type: fc.constant(PacketType.Auth),
        reasonCode: fc.constantFrom(0x18, 0x19),
        properties: fc.record({ authenticationMethod: aText, authenticationData: someBytes }),
      }),
    )
  }
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
    retainAvailable: aByte,
    maximumPacketSize: fc.integer({ min: 1, max: 0xffff_ffff }),
    sharedSubscriptionAvailable: aByte,
    ...reasons,
  }
  return fc.oneof(
    aPublish(version),
    anAck(version),
    fc.record({
      type: fc.constant(PacketType.Connack),
      sessionPresent: fc.boolean(),
      reasonCode: five ? fc.constantFrom(0, 0x80, 0x87) : fc.constantFrom(0, 1, 5),
      properties: some(connack, version),
    }),
    fc.record({
      type: fc.constant(PacketType.Suback),
      packetId: anId,
      reasonCodes: fc.array(fc.constantFrom(0, 1, 2, 0x80), { minLength: 1, maxLength: 4 }),
      properties: some(reasons, version),
    }),
    fc.record({
      type: fc.constant(PacketType.Unsuback),
      packetId: anId,
      reasonCodes: five ? fc.array(fc.constantFrom<number>(0, 0x11), { minLength: 1, maxLength: 4 }) : fc.constant<number[]>([]),
      properties: some(reasons, version),
    }),
    fc.constant({ type: PacketType.Pingresp } as Packet),
  )
}
