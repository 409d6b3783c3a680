/** Control packet types (2.1.2). Integers, because one `switch` on them decides everything that arrives. */
export const PacketType = {
  Connect: 1,
  Connack: 2,
  Publish: 3,
  Puback: 4,
  Pubrec: 5,
  Pubrel: 6,
  Pubcomp: 7,
  Subscribe: 8,
  Suback: 9,
  Unsubscribe: 10,
  Unsuback: 11,
  Pingreq: 12,
  Pingresp: 13,
  Disconnect: 14,
  Auth: 15,
} as const
export type PacketType = (typeof PacketType)[keyof typeof PacketType]

/** The protocol level of CONNECT: 3 is MQTT 3.1 (`MQIsdp`), 4 is 3.1.1, 5 is 5.0. */
export type ProtocolVersion = 3 | 4 | 5

/** The Quality of Service of a message: 0 at most once, 1 at least once, 2 exactly once. */
export type QoS = 0 | 1 | 2

/** A remaining length has at most four bytes (2.1.4). */
export const remainingLengthMax = 268_435_455

/** The broker sends it to acknowledge a publish, or a step of one. */
export function isOutboundAck(type: number): boolean {
  return type === PacketType.Puback || type === PacketType.Pubrec || type === PacketType.Pubcomp
}
