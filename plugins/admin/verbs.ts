import type { ImportAnswer } from '../kit/copies/import-lines.ts'
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

const watched = {
  /** How long. */
  for: { type: 'duration', default: '60s', minimum: '1s', maximum: '1h' },
  /** Lines at most. */
  limit: { type: 'integer', minimum: 1, maximum: 1_000_000, default: 10_000 },
  /** With payloads: for the role admin, where the config says `admin.payloads: true`. */
  payload: { type: 'boolean', default: false },
} as const

export const tailVerb = {
  name: 'tail',
  help: 'messages as they pass this node; drops rather than slows',
  example: "tail 'plant/#' --for 10s",
  role: 'read',
  takes: { filter: { type: 'string', minLength: 1, default: '#' }, ...watched },
  positional: ['filter'],
} as const satisfies VerbDeclaration

export const traceVerb = {
  name: 'trace',
  help: 'the packets of a client at this node, without passwords and payloads',
  example: 'trace meter-7 --for 60s',
  role: 'operate',
  takes: {
    id: { type: 'string', minLength: 1, default: null },
    /** All clients of this user. */
    user: { type: 'string', minLength: 1, default: null },
    /** All clients from this address. */
    address: { type: 'string', minLength: 1, default: null },
    /** Only PUBLISH packets to topics that match this filter. */
    topic: { type: 'string', minLength: 1, default: null },
    ...watched,
  },
  positional: ['id'],
} as const satisfies VerbDeclaration

export const exportVerb = {
  name: 'export',
  help: 'sessions with their queues, retained messages and the state, a JSON line each',
  example: 'export > broker.jsonl',
  role: 'admin',
  printsJson: true,
  takes: {},
} as const satisfies VerbDeclaration

export const importVerb = {
  name: 'import',
  help: 'write what an export holds, line by line; the first line that is refused ends it, and is named',
  example: 'import broker.jsonl',
  role: 'admin',
  changes: true,
  takesLines: true,
  takes: {
    /** What is here already stays, and its lines are passed over. */
    skipExisting: { type: 'boolean', default: false },
  },
} as const satisfies VerbDeclaration

declare module '../../core/verbs.js' {
  interface VerbMap {
    export: [given: object, answer: AsyncIterable<object>]
    import: [given: { skipExisting?: boolean; lines: AsyncIterable<string> }, answer: ImportAnswer]
    audit: [given: { limit?: number; node?: string }, answer: { rows: readonly AuditRow[]; missing?: readonly MissingNode[] }]
    takeovers: [given: { limit?: number; node?: string }, answer: { rows: readonly TakeoverRow[]; missing?: readonly MissingNode[] }]
  }
}
