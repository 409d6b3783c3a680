import type { Properties, UserProperty } from './protocol/packets.ts'
import type { Rights } from './publisher.ts'
import { ReasonCode } from './reason.ts'

/** Lets a client in. Any part may be left out. */
export interface Admission {
  /** Replaces the user name that the client gave. */
  username?: string | null
  /** What the client may do. Default: nothing is said. */
  rights?: Rights
  /** Milliseconds since the Unix epoch at which the admission ends and the client is disconnected (0x87). */
  expiresAt?: number
}

/** Says no. A bare reason code does the same; the string and the reference reach MQTT 5 clients. */
export interface Refusal {
  /** A reason code from 0x80 on. */
  reasonCode: ReasonCode
  /** The Reason String, for people; only MQTT 5 clients get it. Default: none. */
  reasonString?: string
  /** For `UseAnotherServer` and `ServerMoved`. */
  serverReference?: string
  /** User Properties, which only MQTT 5 clients get. Default: none. */
  userProperties?: UserProperty[]
  /** From `onAuthenticate`: trouble that the client is not to blame for, so no failed attempt of its address. */
  blameless?: boolean
}

/** A reason code from 0x80 on, a refusal with more to say, or `false` for 0x87 NotAuthorized. */
export type ConnectRefusal = ReasonCode | Refusal | false
/** Why a subscription is not granted: a reason code from 0x80 on, a refusal with more to say, or `false` for 0x87 NotAuthorized (0x80 before MQTT 5). */
export type SubscribeRefusal = ReasonCode | Refusal | false
/** A refusal; `'drop'`: accepted and acknowledged, but goes nowhere; `'kept'`: the same, because the plugin has it now, so it counts as no drop. */
export type PublishVerdict = ReasonCode | Refusal | 'drop' | 'kept' | false

/** The answer to an AUTH packet: go on with the exchange, finish it, or refuse. */
export type AuthStep =
  | { continue: true; data?: Buffer; reasonString?: string }
  | { admission: Admission; data?: Buffer }
  | Refusal
  | ReasonCode
  | false

/**
 * What becomes of a publish that `onAuthorize` does not let pass, in place of the refusal that `false` is: `'drop'` acknowledges it
 * and it goes nowhere, `'close'` closes the publisher's connection.
 */
export type PublishRefusal = 'drop' | 'close'

/** The long form of a refusal. Its code is from 0x80 on: the hooks let no other through. */
export function toRefusal(answer: ReasonCode | Refusal | false): Refusal {
  if (answer === false) return { reasonCode: ReasonCode.NotAuthorized }
  return typeof answer === 'number' ? { reasonCode: answer } : answer
}

/** What an answer says beside its reason code. */
export function textOf({ reasonString, userProperties }: { [K in keyof Refusal]?: Refusal[K] | undefined }): Properties | undefined {
  if (reasonString === undefined && userProperties === undefined) return undefined
  const properties: Properties = {}
  if (reasonString !== undefined) properties.reasonString = reasonString
  if (userProperties !== undefined) properties.userProperties = userProperties
  return properties
}

/** What an answer of `onAuthorize` comes to: no opinion, or yes. */
export function isGranted(permission: unknown): boolean {
  return permission === undefined || permission === true
}
