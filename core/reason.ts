/**
 * The reason codes of MQTT 5 (2.4). Codes from 0x80 on are failures. For 3.1 and 3.1.1 clients the broker translates them
 * to the few return codes that those versions know.
 */
export const ReasonCode = {
  Success: 0x00,
  NormalDisconnection: 0x00,
  GrantedQoS0: 0x00,
  GrantedQoS1: 0x01,
  GrantedQoS2: 0x02,
  DisconnectWithWillMessage: 0x04,
  NoMatchingSubscribers: 0x10,
  NoSubscriptionExisted: 0x11,
  ContinueAuthentication: 0x18,
  ReAuthenticate: 0x19,
  UnspecifiedError: 0x80,
  MalformedPacket: 0x81,
  ProtocolError: 0x82,
  ImplementationSpecificError: 0x83,
  UnsupportedProtocolVersion: 0x84,
  ClientIdentifierNotValid: 0x85,
  BadUserNameOrPassword: 0x86,
  NotAuthorized: 0x87,
  ServerUnavailable: 0x88,
  ServerBusy: 0x89,
  Banned: 0x8a,
  ServerShuttingDown: 0x8b,
  BadAuthenticationMethod: 0x8c,
  KeepAliveTimeout: 0x8d,
  SessionTakenOver: 0x8e,
  TopicFilterInvalid: 0x8f,
  TopicNameInvalid: 0x90,
  PacketIdentifierInUse: 0x91,
  PacketIdentifierNotFound: 0x92,
  ReceiveMaximumExceeded: 0x93,
  TopicAliasInvalid: 0x94,
  PacketTooLarge: 0x95,
  MessageRateTooHigh: 0x96,
  QuotaExceeded: 0x97,
  AdministrativeAction: 0x98,
  PayloadFormatInvalid: 0x99,
  RetainNotSupported: 0x9a,
  QoSNotSupported: 0x9b,
  UseAnotherServer: 0x9c,
  ServerMoved: 0x9d,
  SharedSubscriptionsNotSupported: 0x9e,
  ConnectionRateExceeded: 0x9f,
  MaximumConnectTime: 0xa0,
  SubscriptionIdentifiersNotSupported: 0xa1,
  WildcardSubscriptionsNotSupported: 0xa2,
} as const

/** One byte: a value of `ReasonCode`. */
export type ReasonCode = (typeof ReasonCode)[keyof typeof ReasonCode]

/** The codes that CONNACK may carry (3.2.2.2). */
const connackCodes: ReadonlySet<number> = new Set([
  0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9f,
])

/** The codes that PUBACK and PUBREC may carry (3.4.2.1, 3.5.2.1). */
export const publishAckCodes: ReadonlySet<number> = new Set([0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99])

/** The codes that SUBACK may carry (3.9.3). */
const subackCodes: ReadonlySet<number> = new Set([0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2])

/** The codes that UNSUBACK may carry where it says no (3.11.3). */
const unsubackCodes: ReadonlySet<number> = new Set([0x80, 0x83, 0x87, 0x8f, 0x91])

/** The codes that DISCONNECT from a server may carry (3.14.2.1; 0x8C by the table of 2.4). */
const disconnectCodes: ReadonlySet<number> = new Set([
  0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c,
  0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
])

// A code that may be a plugin's: 0x80 where the packet has no such code.
const only =
  (codes: ReadonlySet<number>) =>
  (code: number): number =>
    codes.has(code) ? code : ReasonCode.UnspecifiedError

/** What CONNACK says of a reason [MQTT-3.2.2-8]. */
export const connackCode = only(connackCodes)

/** The same for PUBACK and PUBREC [MQTT-3.4.2-1] [MQTT-3.5.2-1]. */
export const publishAckCode = only(publishAckCodes)

/** The same for SUBACK [MQTT-3.9.3-2]. */
export const subackCode = only(subackCodes)

/** The same for UNSUBACK [MQTT-3.11.3-2]. */
export const unsubackCode = only(unsubackCodes)

/** The same for DISCONNECT [MQTT-3.14.2-1]; what only CONNACK can say goes out as what comes nearest. */
export function disconnectCode(code: number): number {
  if (disconnectCodes.has(code)) return code
  switch (code) {
    case ReasonCode.ServerUnavailable:
      return ReasonCode.ServerBusy
    case ReasonCode.BadUserNameOrPassword:
    case ReasonCode.Banned:
      return ReasonCode.NotAuthorized
    default:
      return ReasonCode.UnspecifiedError
  }
}

/** The CONNACK return code of MQTT 3.1.1 (table 3.1) that says most nearly what a reason code of MQTT 5 says. */
export function connackReturnCode(code: number): number {
  switch (code) {
    case ReasonCode.Success:
      return 0
    case ReasonCode.UnsupportedProtocolVersion:
      return 1
    case ReasonCode.ClientIdentifierNotValid:
      return 2
    case ReasonCode.BadUserNameOrPassword:
    case ReasonCode.BadAuthenticationMethod:
      return 4
    case ReasonCode.NotAuthorized:
    case ReasonCode.Banned:
      return 5
    default:
      return 3
  }
}
