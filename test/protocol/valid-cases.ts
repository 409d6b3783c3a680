import { PacketType, type ProtocolVersion } from '../../core/protocol/constants.ts'
import type { Packet } from '../../core/protocol/packets.ts'

/** One packet as it stands on the wire, and what it says. */
export interface ValidCase {
  readonly name: string
  readonly version: ProtocolVersion
  /** Hex; blanks between the fields are for the eye. */
  readonly bytes: string
  readonly packet: Packet
  /** A longer form of something that the encoder says more shortly. */
  readonly decodeOnly?: boolean
}

const bytes = (text: string): Buffer => Buffer.from(text)
const none = undefined

const connect = {
  type: PacketType.Connect,
  bridge: false,
  clientId: 'c',
  cleanStart: true,
  keepAlive: 60,
  username: none,
  password: none,
  will: none,
  properties: none,
} as const

const publish = {
  type: PacketType.Publish,
  dup: false,
  qos: 0,
  retain: false,
  topic: 'a/b',
  packetId: 0,
  properties: none,
  payload: bytes('h'),
} as const

const plain = { qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const

export const connectCases: readonly ValidCase[] = [
  {
    name: 'CONNECT of MQTT 3.1',
    version: 3,
    bytes: '10 0f  0006 4d5149736470  03  02  003c  0001 63',
    packet: { ...connect, version: 3 },
  },
  {
    name: 'CONNECT of MQTT 3.1.1',
    version: 4,
    bytes: '10 0d  0004 4d515454  04  02  003c  0001 63',
    packet: { ...connect, version: 4 },
  },
  {
    name: 'CONNECT of a bridge, which mosquitto marks in the protocol level',
    version: 4,
    bytes: '10 0d  0004 4d515454  84  02  003c  0001 63',
    packet: { ...connect, version: 4, bridge: true },
  },
  {
    name: 'CONNECT of MQTT 3.1.1, with will, user name and password',
    version: 4,
    bytes: '10 19  0004 4d515454  04  f4  0000  0001 63  0001 77  0001 78  0001 75  0001 70',
    packet: {
      ...connect,
      version: 4,
      cleanStart: false,
      keepAlive: 0,
      will: { topic: 'w', payload: bytes('x'), qos: 2, retain: true, properties: none },
      username: 'u',
      password: bytes('p'),
    },
  },
  {
    name: 'CONNECT of MQTT 5, no properties',
    version: 5,
    bytes: '10 0e  0004 4d515454  05  02  003c  00  0001 63',
    packet: { ...connect, version: 5 },
  },
  {
    name: 'CONNECT of MQTT 5, password without user name',
    version: 5,
    bytes: '10 11  0004 4d515454  05  42  003c  00  0001 63  0001 70',
    packet: { ...connect, version: 5, password: bytes('p') },
  },
  {
    name: 'CONNECT of MQTT 5, all properties',
    version: 5,
    bytes:
      '10 38  0004 4d515454  05  02  003c  2a  11 0000000a  22 0005  15 0001 6d  16 0001 64  17 00  19 01  26 0001 6b 0001 76  26 0001 6b 0001 77  27 00001000  21 0014  0001 63',
    packet: {
      ...connect,
      version: 5,
      properties: {
        sessionExpiry: 10,
        authenticationMethod: 'm',
        authenticationData: bytes('d'),
        requestProblemInformation: 0,
        requestResponseInformation: 1,
        receiveMaximum: 20,
        topicAliasMaximum: 5,
        userProperties: [
          ['k', 'v'],
          ['k', 'w'],
        ],
        maximumPacketSize: 4096,
      },
    },
  },
  {
    name: 'CONNECT of MQTT 5, a will with all properties',
    version: 5,
    bytes:
      '10 34  0004 4d515454  05  0e  003c  00  0001 63  1f  01 01  02 00000005  03 0001 74  08 0001 72  09 0001 63  18 00000007  26 0001 6b 0001 76  0001 77  0001 78',
    packet: {
      ...connect,
      version: 5,
      will: {
        topic: 'w',
        payload: bytes('x'),
        qos: 1,
        retain: false,
        properties: {
          payloadFormat: 1,
          messageExpiry: 5,
          contentType: 't',
          responseTopic: 'r',
          correlationData: bytes('c'),
          willDelay: 7,
          userProperties: [['k', 'v']],
        },
      },
    },
  },
]

export const publishCases: readonly ValidCase[] = [
  {
    name: 'PUBLISH, QoS 0, retain; without a packet identifier [MQTT-2.2.1-2]',
    version: 4,
    bytes: '31 06  0003 612f62  68',
    packet: { ...publish, retain: true },
  },
  { name: 'PUBLISH, QoS 1, topic a/b', version: 4, bytes: '32 08  0003 612f62  000a  68', packet: { ...publish, qos: 1, packetId: 10 } },
  {
    name: 'PUBLISH, QoS 2, DUP, retain, no payload',
    version: 4,
    bytes: '3d 07  0003 612f62  ffff',
    packet: { ...publish, qos: 2, dup: true, retain: true, packetId: 65_535, payload: bytes('') },
  },
  {
    name: 'PUBLISH, topic name of several bytes a character, and U+FEFF, which is no byte order mark [MQTT-1.5.4-3]',
    version: 4,
    bytes: '30 0a  0007 efbbbf f09f9a97  68',
    packet: { ...publish, topic: '\uFEFF🚗' },
  },
  { name: 'PUBLISH, MQTT 5, no properties', version: 5, bytes: '30 07  0003 612f62  00  68', packet: publish },
  {
    name: 'PUBLISH, MQTT 5, all properties, user properties twice by one name',
    version: 5,
    bytes:
      '32 2c  0001 61  0001  25  01 00  02 0000003c  03 0001 74  08 0001 72  09 0002 00ff  23 0003  26 0001 6b 0001 76  26 0001 6b 0001 77  68',
    packet: {
      ...publish,
      topic: 'a',
      qos: 1,
      packetId: 1,
      properties: {
        payloadFormat: 0,
        messageExpiry: 60,
        contentType: 't',
        responseTopic: 'r',
        correlationData: Buffer.from([0, 0xff]),
        topicAlias: 3,
        userProperties: [
          ['k', 'v'],
          ['k', 'w'],
        ],
      },
    },
  },
  {
    name: 'PUBLISH, MQTT 5, a topic alias instead of a topic name',
    version: 5,
    bytes: '30 07  0000  03 23 0003  68',
    packet: { ...publish, topic: '', properties: { topicAlias: 3 } },
  },
]

const ack = { reasonCode: 0, properties: none }

export const ackCases: readonly ValidCase[] = [
  { name: 'PUBACK', version: 4, bytes: '40 02 000a', packet: { type: PacketType.Puback, packetId: 10, ...ack } },
  { name: 'PUBREC', version: 4, bytes: '50 02 000a', packet: { type: PacketType.Pubrec, packetId: 10, ...ack } },
  { name: 'PUBREL', version: 4, bytes: '62 02 000a', packet: { type: PacketType.Pubrel, packetId: 10, ...ack } },
  { name: 'PUBCOMP', version: 4, bytes: '70 02 000a', packet: { type: PacketType.Pubcomp, packetId: 10, ...ack } },
  {
    name: 'PUBACK, MQTT 5, success said shortly',
    version: 5,
    bytes: '40 02 000a',
    packet: { type: PacketType.Puback, packetId: 10, ...ack },
  },
  {
    name: 'PUBACK, MQTT 5, success said at length',
    version: 5,
    bytes: '40 03 000a 00',
    packet: { type: PacketType.Puback, packetId: 10, ...ack },
    decodeOnly: true,
  },
  {
    name: 'PUBREC, MQTT 5, reason code and no properties, of length 0 [MQTT-2.2.2-1]',
    version: 5,
    bytes: '50 04 000a 97 00',
    packet: { type: PacketType.Pubrec, packetId: 10, reasonCode: 0x97, properties: none },
    decodeOnly: true,
  },
  {
    name: 'PUBACK, MQTT 5, reason string and user property',
    version: 5,
    bytes: '40 0f  000a  87  0b  1f 0001 72  26 0001 6b 0001 76',
    packet: { type: PacketType.Puback, packetId: 10, reasonCode: 0x87, properties: { reasonString: 'r', userProperties: [['k', 'v']] } },
  },
  {
    name: 'PUBREL, MQTT 5, packet identifier not found',
    version: 5,
    bytes: '62 03 000a 92',
    packet: { type: PacketType.Pubrel, packetId: 10, reasonCode: 0x92, properties: none },
  },
]

export const subscribeCases: readonly ValidCase[] = [
  {
    name: 'SUBSCRIBE, two filters',
    version: 4,
    bytes: '82 0c  0001  0003 612f2b 01  0001 23 02',
    packet: {
      type: PacketType.Subscribe,
      packetId: 1,
      properties: none,
      subscriptions: [
        { ...plain, filter: 'a/+', qos: 1 },
        { ...plain, filter: '#', qos: 2 },
      ],
    },
  },
  {
    name: 'SUBSCRIBE, MQTT 5, all options and properties',
    version: 5,
    bytes: '82 11  0001  0a  0b 8001  26 0001 6b 0001 76  0001 61  2e',
    packet: {
      type: PacketType.Subscribe,
      packetId: 1,
      properties: { subscriptionIdentifiers: [128], userProperties: [['k', 'v']] },
      subscriptions: [{ filter: 'a', qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 2 }],
    },
  },
  {
    name: 'UNSUBSCRIBE, two filters',
    version: 4,
    bytes: 'a2 08  0002  0001 61  0001 23',
    packet: { type: PacketType.Unsubscribe, packetId: 2, filters: ['a', '#'], properties: none },
  },
  {
    name: 'UNSUBSCRIBE, MQTT 5',
    version: 5,
    bytes: 'a2 0d  0002  07 26 0001 6b 0001 76  0001 61',
    packet: { type: PacketType.Unsubscribe, packetId: 2, filters: ['a'], properties: { userProperties: [['k', 'v']] } },
  },
]

export const otherCases: readonly ValidCase[] = [
  { name: 'PINGREQ', version: 4, bytes: 'c0 00', packet: { type: PacketType.Pingreq } },
  { name: 'DISCONNECT', version: 4, bytes: 'e0 00', packet: { type: PacketType.Disconnect, ...ack } },
  { name: 'DISCONNECT, MQTT 5, said shortly', version: 5, bytes: 'e0 00', packet: { type: PacketType.Disconnect, ...ack } },
  {
    name: 'DISCONNECT, MQTT 5, with will and another session expiry',
    version: 5,
    bytes: 'e0 07  04  05 11 ffffffff',
    packet: { type: PacketType.Disconnect, reasonCode: 4, properties: { sessionExpiry: 0xffffffff } },
  },
  {
    name: 'AUTH, MQTT 5, continue',
    version: 5,
    bytes: 'f0 0a  18  08  15 0001 6d  16 0001 64',
    packet: { type: PacketType.Auth, reasonCode: 0x18, properties: { authenticationMethod: 'm', authenticationData: bytes('d') } },
  },
]

/** What only a server sends. */
export const serverCases: readonly ValidCase[] = [
  {
    name: 'CONNACK, session present',
    version: 4,
    bytes: '20 02 01 00',
    packet: { type: PacketType.Connack, sessionPresent: true, reasonCode: 0, properties: none },
  },
  {
    name: 'CONNACK, MQTT 5, all properties',
    version: 5,
    bytes:
      '20 3f  00 00  3c  11 0000000a  22 0005  13 0005  12 0001 69  15 0001 6d  16 0001 64  1a 0001 72  1c 0001 73  1f 0001 74  25 00  26 0001 6b 0001 76  27 00001000  21 0014  24 01  28 01  29 01  2a 00',
    packet: {
      type: PacketType.Connack,
      sessionPresent: false,
      reasonCode: 0,
      properties: {
        sessionExpiry: 10,
        assignedClientId: 'i',
        serverKeepAlive: 5,
        authenticationMethod: 'm',
        authenticationData: bytes('d'),
        responseInformation: 'r',
        serverReference: 's',
        reasonString: 't',
        receiveMaximum: 20,
        topicAliasMaximum: 5,
        maximumQoS: 1,
        retainAvailable: 0,
        userProperties: [['k', 'v']],
        maximumPacketSize: 4096,
        wildcardSubscriptionAvailable: 1,
        subscriptionIdentifierAvailable: 1,
        sharedSubscriptionAvailable: 0,
      },
    },
  },
  {
    name: 'SUBACK',
    version: 4,
    bytes: '90 05  0001  00 02 80',
    packet: { type: PacketType.Suback, packetId: 1, reasonCodes: [0, 2, 0x80], properties: none },
  },
  {
    name: 'SUBACK, MQTT 5, reason string',
    version: 5,
    bytes: '90 08  0001  04 1f 0001 72  87',
    packet: { type: PacketType.Suback, packetId: 1, reasonCodes: [0x87], properties: { reasonString: 'r' } },
  },
  {
    name: 'UNSUBACK',
    version: 4,
    bytes: 'b0 02 0002',
    packet: { type: PacketType.Unsuback, packetId: 2, reasonCodes: [], properties: none },
  },
  {
    name: 'UNSUBACK, MQTT 5',
    version: 5,
    bytes: 'b0 05  0002  00  00 11',
    packet: { type: PacketType.Unsuback, packetId: 2, reasonCodes: [0, 0x11], properties: none },
  },
  { name: 'PINGRESP', version: 4, bytes: 'd0 00', packet: { type: PacketType.Pingresp } },
  {
    name: 'PUBLISH, MQTT 5, two subscription identifiers',
    version: 5,
    bytes: '30 0b  0001 61  05  0b 07  0b ff7f  68 68',
    packet: { ...publish, topic: 'a', properties: { subscriptionIdentifiers: [7, 16_383] }, payload: bytes('hh') },
  },
]

export const clientCases: readonly ValidCase[] = [...connectCases, ...publishCases, ...ackCases, ...subscribeCases, ...otherCases]
