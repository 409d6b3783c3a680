import type { ProtocolVersion } from '../../core/protocol/constants.ts'
import { ReasonCode } from '../../core/reason.ts'

/** Bytes that no client may send. */
export interface InvalidCase {
  readonly name: string
  readonly version: ProtocolVersion
  readonly bytes: string
  /** What an MQTT 5 client is told. */
  readonly reason: ReasonCode
  /** Who sees it: the decoder, or the broker, because it takes more than the packet to know. */
  readonly by: 'decoder' | 'broker'
  /** Comes instead of CONNECT. */
  readonly first?: boolean
}

const { MalformedPacket, ProtocolError, TopicNameInvalid, TopicAliasInvalid, UnsupportedProtocolVersion } = ReasonCode

function cases(version: ProtocolVersion, by: InvalidCase['by'], reason: ReasonCode, list: [name: string, bytes: string][]): InvalidCase[] {
  return list.map(([name, bytes]) => ({ name, version, bytes, reason, by }))
}

function connects(version: ProtocolVersion, reason: ReasonCode, list: [name: string, bytes: string][]): InvalidCase[] {
  return cases(version, 'decoder', reason, list).map(one => ({ ...one, first: true }))
}

const headers = cases(5, 'decoder', MalformedPacket, [
  ['packet type 0', '00 00'],
  ['PUBLISH at QoS 3', '36 07  0001 61  0001  00  68'],
  ['PUBLISH at QoS 0 with DUP', '38 05  0001 61  00  68'],
  ['PUBACK with a reserved flag [MQTT-2.1.3-1]', '41 02 0001'],
  ['PUBREC with a reserved flag [MQTT-2.1.3-1]', '58 02 0001'],
  ['PUBREL without its flag [MQTT-2.1.3-1]', '60 02 0001'],
  ['PUBCOMP with a reserved flag [MQTT-2.1.3-1]', '72 02 0001'],
  ['SUBSCRIBE without its flag [MQTT-2.1.3-1]', '80 07  0001  00  0001 61  00'],
  ['UNSUBSCRIBE without its flag [MQTT-2.1.3-1]', 'a0 06  0001  00  0001 61'],
  ['PINGREQ with a reserved flag [MQTT-2.1.3-1]', 'c1 00'],
  ['DISCONNECT with a reserved flag [MQTT-2.1.3-1]', 'e2 00'],
  ['AUTH with a reserved flag [MQTT-2.1.3-1]', 'f1 06  18  04 15 0001 6d'],
  ['a remaining length of five bytes', '30 ff ff ff ff 01'],
  ['a remaining length that is longer than it needs to be [MQTT-1.5.5-1]', 'c0 80 00'],
  ['a property length that is longer than it needs to be [MQTT-1.5.5-1]', '30 06  0001 61  8000  68'],
  ['a subscription identifier that is longer than it needs to be [MQTT-1.5.5-1]', '82 0a  0001  03 0b 8100  0001 61  00'],
])

const lengths = cases(5, 'decoder', MalformedPacket, [
  ['PUBLISH that ends in its topic name', '30 03  0003 61'],
  ['PUBLISH that ends before its packet identifier', '32 04  0001 61  00'],
  ['PUBLISH that ends before its properties', '30 03  0001 61'],
  ['PUBLISH whose properties are longer than it', '30 05  0001 61  04  01'],
  ['PUBLISH whose last property is cut off', '30 06  0001 61  02  02 00'],
  ['PUBACK that is too short', '40 01 00'],
  ['PUBACK that is too long', '40 05  0001  00  00  00'],
  ['PUBREL that is too long', '62 05  0001  00  00  00'],
  ['SUBSCRIBE that ends before the options of a filter', '82 06  0001  00  0001 61'],
  ['UNSUBSCRIBE that ends in a filter', 'a2 06  0001  00  0002 61'],
  ['PINGREQ with a payload', 'c0 01 00'],
  ['DISCONNECT that is too long', 'e0 03  00  00  00'],
  ['a property that does not exist', '30 06  0001 61  02  7f 00'],
  ['a reserved bit in the options of a subscription', '82 07  0001  00  0001 61  40'],
  ['an empty topic filter in SUBSCRIBE', '82 06  0001  00  0000  00'],
  ['an empty topic filter in UNSUBSCRIBE', 'a2 05  0001  00  0000'],
])

const text = cases(5, 'decoder', MalformedPacket, [
  ['a topic name with U+0000 [MQTT-1.5.4-2]', '30 07  0003 610062  00  68'],
  ['a topic name with half a surrogate [MQTT-1.5.4-1]', '30 07  0003 eda080  00  68'],
  ['a topic name that is no UTF-8', '30 06  0002 c328  00  68'],
  ['a topic name with an overlong form', '30 06  0002 c0af  00  68'],
  ['a filter with U+0000 [MQTT-1.5.4-2]', '82 07  0001  00  0001 00  00'],
  ['a filter that is no UTF-8', 'a2 06  0001  00  0001 ff'],
  ['a content type that is no UTF-8', '30 08  0001 61  04  03 0001 ff'],
  ['a response topic with U+0000 [MQTT-1.5.4-2]', '30 08  0001 61  04  08 0001 00'],
  // 2.2.2.2 calls these malformed.
  ['a property of another packet', '30 0a  0001 61  05  11 0000000a  68'],
  ['a will property in PUBLISH', '30 0a  0001 61  05  18 0000000a  68'],
  ['a user property whose name is no UTF-8 [MQTT-1.5.7-1]', '30 0b  0001 61  07  26 0001 ff 0001 76'],
  ['a user property whose value holds U+0000 [MQTT-1.5.7-1]', '30 0b  0001 61  07  26 0001 6b 0001 00'],
  ['a reason string that is no UTF-8', '40 08  0001  87  04  1f 0001 ff'],
])

const protocol = cases(5, 'decoder', ProtocolError, [
  ['PUBLISH at QoS 1 with packet identifier 0 [MQTT-2.2.1-3]', '32 07  0001 61  0000  00  68'],
  ['SUBSCRIBE with packet identifier 0 [MQTT-2.2.1-3]', '82 07  0000  00  0001 61  00'],
  ['UNSUBSCRIBE with packet identifier 0 [MQTT-2.2.1-3]', 'a2 06  0000  00  0001 61'],
  ['PUBACK with packet identifier 0', '40 02 0000'],
  ['PUBLISH with neither topic name nor topic alias', '30 04  0000  00  68'],
  ['a property twice', '30 08  0001 61  04  01 01 01 01'],
  ['a payload format that is neither 0 nor 1', '30 07  0001 61  02  01 02  68'],
  ['a subscription identifier in a PUBLISH from a client', '30 07  0001 61  02  0b 01  68'],
  ['a subscription identifier of 0', '82 09  0001  02 0b 00  0001 61  00'],
  ['two subscription identifiers in SUBSCRIBE', '82 0b  0001  04 0b 01 0b 02  0001 61  00'],
  ['SUBSCRIBE at QoS 3', '82 07  0001  00  0001 61  03'],
  ['Retain Handling 3', '82 07  0001  00  0001 61  30'],
  ['No Local on a shared subscription', `82 10  0001  00  000a ${Buffer.from('$share/g/a').toString('hex')}  04`],
  ['SUBSCRIBE without a filter', '82 03  0001  00'],
  ['UNSUBSCRIBE without a filter', 'a2 03  0001  00'],
  ['CONNACK from a client', '20 03  00 00  00'],
  ['SUBACK from a client', '90 04  0001  00  00'],
  ['UNSUBACK from a client', 'b0 04  0001  00  00'],
  ['PINGRESP from a client', 'd0 00'],
  ['a reason code of another packet in PUBACK', '40 03  0001  04'],
  ['a reason code of another packet in DISCONNECT', 'e0 01  8b'],
])

const topics = [
  ...cases(5, 'decoder', TopicNameInvalid, [
    ['a topic name with +', '30 07  0003 612f2b  00  68'],
    ['a topic name with #', '30 05  0001 23  00  68'],
  ]),
  ...cases(5, 'decoder', TopicAliasInvalid, [['topic alias 0', '30 08  0001 61  03 23 0000  68']]),
  ...cases(5, 'broker', TopicAliasInvalid, [['a topic alias above the maximum', '30 08  0001 61  03 23 ffff  68']]),
  ...cases(5, 'broker', MalformedPacket, [
    ['a filter a/b+', '82 0a  0001  00  0004 612f622b  00'],
    ['a filter #/a', '82 09  0001  00  0003 232f61  00'],
    ['a filter a#', 'a2 07  0001  00  0002 6123'],
  ]),
  ...cases(5, 'broker', ProtocolError, [
    ['a topic alias that stands for nothing yet', '30 07  0000  03 23 0001  68'],
    ['a second CONNECT', '10 0e  0004 4d515454  05  02  003c  00  0001 63'],
    ['AUTH that nobody asked for', 'f0 06  19  04 15 0001 6d'],
  ]),
]

const connecting = [
  ...connects(5, ProtocolError, [
    ['a PUBLISH before CONNECT', '30 05  0001 61  00  68'],
    ['a PINGREQ before CONNECT', 'c0 00'],
    ['another protocol name', '10 0e  0004 4d515458  05  02  003c  00  0001 63'],
    ['Receive Maximum 0', '10 11  0004 4d515454  05  02  003c  03 21 0000  0001 63'],
    ['Maximum Packet Size 0', '10 13  0004 4d515454  05  02  003c  05 27 00000000  0001 63'],
    ['Authentication Data without a method', '10 12  0004 4d515454  05  02  003c  04 16 0001 64  0001 63'],
    ['a property of the will twice', '10 18  0004 4d515454  05  06  003c  00  0001 63  04 01 01 01 01  0001 77  0001 78'],
    ['Request Problem Information 2', '10 10  0004 4d515454  05  02  003c  02 17 02  0001 63'],
  ]),
  ...connects(5, MalformedPacket, [
    ['a session expiry in the will', '10 19  0004 4d515454  05  06  003c  00  0001 63  05 11 00000001  0001 77  0001 78'],
  ]),
  ...connects(5, UnsupportedProtocolVersion, [['protocol level 6', '10 0e  0004 4d515454  06  02  003c  00  0001 63']]),
  ...connects(5, TopicNameInvalid, [
    ['a will topic with a wildcard', '10 14  0004 4d515454  05  06  003c  00  0001 63  00  0001 23  0001 78'],
  ]),
  ...connects(5, MalformedPacket, [
    ['the reserved flag of CONNECT', '10 0e  0004 4d515454  05  03  003c  00  0001 63'],
    ['Will QoS 3', '10 14  0004 4d515454  05  1e  003c  00  0001 63  00  0001 77  0001 78'],
    ['Will QoS without a will', '10 0e  0004 4d515454  05  0a  003c  00  0001 63'],
    ['Will Retain without a will', '10 0e  0004 4d515454  05  22  003c  00  0001 63'],
    ['an empty will topic', '10 13  0004 4d515454  05  06  003c  00  0001 63  00  0000  0001 78'],
    ['a client id with U+0000 [MQTT-1.5.4-2]', '10 0e  0004 4d515454  05  02  003c  00  0001 00'],
    ['a user name that is no UTF-8 [MQTT-1.5.4-1]', '10 11  0004 4d515454  05  82  003c  00  0001 63  0001 ff'],
    ['a will topic that is no UTF-8', '10 14  0004 4d515454  05  06  003c  00  0001 63  00  0001 ff  0001 78'],
    ['a user name that is announced and missing', '10 0e  0004 4d515454  05  82  003c  00  0001 63'],
    ['CONNECT that is too long', '10 0f  0004 4d515454  05  02  003c  00  0001 63  00'],
  ]),
  ...connects(4, MalformedPacket, [['a password without a user name, in 3.1.1', '10 10  0004 4d515454  04  42  003c  0001 63  0001 70']]),
]

export const invalidCases: readonly InvalidCase[] = [...headers, ...lengths, ...text, ...protocol, ...topics, ...connecting]
