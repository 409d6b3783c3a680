import type { VerbDeclaration } from '../kit/verbs/define-verb.ts'
import type { AuditRow, TakeoverRow } from './answers.ts'

const limit = { type: 'integer', minimum: 1, maximum: 200, default: 50 } as const

export const auditVerb = {
  name: 'audit',
  help: 'what operators have changed, or tried to change: who, when, what',
  example: 'audit',
  role: 'read',
  everywhere: true,
  takes: { limit },
} as const satisfies VerbDeclaration

export const takeoversVerb = {
  name: 'takeovers',
  help: 'client ids whose connections took one another over, the most frequent first',
  example: 'takeovers',
  role: 'read',
  everywhere: true,
  takes: { limit },
} as const satisfies VerbDeclaration

declare module '../../core/verbs.js' {
  interface VerbMap {
    audit: [given: { limit?: number; node?: string }, answer: { rows: readonly AuditRow[]; missing?: readonly MissingNode[] }]
    takeovers: [given: { limit?: number; node?: string }, answer: { rows: readonly TakeoverRow[]; missing?: readonly MissingNode[] }]
  }
}
