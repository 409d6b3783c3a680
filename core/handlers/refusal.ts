import type { Refusal } from '../hooks.ts'
import { ReasonCode } from '../reason.ts'

/** The long form of a refusal: `false` is 0x87, and a code below 0x80 cannot refuse, so it becomes 0x80. */
export function toRefusal(answer: ReasonCode | Refusal | false): Refusal {
  if (answer === false) return { reasonCode: ReasonCode.NotAuthorized }
  const refusal = typeof answer === 'number' ? { reasonCode: answer } : answer
  return refusal.reasonCode >= 0x80 ? refusal : { ...refusal, reasonCode: ReasonCode.UnspecifiedError }
}
