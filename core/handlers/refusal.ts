import type { Refusal } from '../hooks.ts'
import type { Properties } from '../protocol/packets.ts'
import { ReasonCode } from '../reason.ts'

/** The long form of a refusal: `false` is 0x87, and a code below 0x80 cannot refuse, so it becomes 0x80. */
export function toRefusal(answer: ReasonCode | Refusal | false): Refusal {
  if (answer === false) return { reasonCode: ReasonCode.NotAuthorized }
  const refusal = typeof answer === 'number' ? { reasonCode: answer } : answer
  return refusal.reasonCode >= 0x80 ? refusal : { ...refusal, reasonCode: ReasonCode.UnspecifiedError }
}

/** What an answer says beside its reason code. */
export function textOf({ reasonString, userProperties }: Refusal): Properties | undefined {
  if (reasonString === undefined && userProperties === undefined) return undefined
  const properties: Properties = {}
  if (reasonString !== undefined) properties.reasonString = reasonString
  if (userProperties !== undefined) properties.userProperties = userProperties
  return properties
}
