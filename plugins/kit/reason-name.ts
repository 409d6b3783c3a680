import { ReasonCode } from '../../core/reason.ts'

const names = new Map<number, string>()
for (const [name, code] of Object.entries(ReasonCode)) if (!names.has(code)) names.set(code, name)

/** The code's name as in the standard, for logs: `0x8e` is `SessionTakenOver`. */
export function reasonName(code: number): string {
  return names.get(code) ?? `0x${code.toString(16).padStart(2, '0')}`
}
