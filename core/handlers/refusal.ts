import type { Refusal } from '../hooks.ts'
import type { Properties } from '../protocol/packets.ts'
import { ReasonCode } from '../reason.ts'

/** The long form of a refusal. Its code is from 0x80 on: the hooks let no other through. */
export function toRefusal(answer: ReasonCode | Refusal | false): Refusal {
  if (answer === false) return { reasonCode: ReasonCode.NotAuthorized }
  return typeof answer === 'number' ? { reasonCode: answer } : answer
}

/** What an answer says beside its reason code. */
export function textOf({ reasonString, userProperties }: Refusal): Properties | undefined {
  if (reasonString === undefined && userProperties === undefined) return undefined
  const properties: Properties = {}
  if (reasonString !== undefined) properties.reasonString = reasonString
  if (userProperties !== undefined) properties.userProperties = userProperties
  return properties
}
