import type { ImportAnswer } from '../kit/copies/import-lines.ts'
import type { VerbDeclaration } from '../kit/verbs/define-verb.ts'
import type {
  AuditRow,
  DroppedPiece,
  MissingPiece,
  RateRow,
  RecentAnswer,
  TailPiece,
  TakeoverRow,
  TracePiece,
  WhoamiAnswer,
} from './answers.ts'

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

export const ratesVerb = {
  name: 'rates',
  help: 'what has come and gone a second, and how busy the node was, over the last minutes, hours or the last day',
  example: 'rates --span 1h',
  role: 'read',
  everywhere: true,
  takes: {
    /** How far back: a row each 3 s for ten minutes, each 18 s for an hour, each 7.2 min for a day. */
    span: { type: 'string', enum: ['10m', '1h', '24h'], default: '10m' },
    /** Rows of each node at most, the newest. */
    limit: { type: 'integer', minimum: 1, maximum: 200, default: 20 },
    /** Only rows that are newer: milliseconds since the Unix epoch. */
    since: { type: 'number', minimum: 0, default: null },
  },
} as const satisfies VerbDeclaration

export const whoamiVerb = {
  name: 'whoami',
  help: 'whom this broker takes you for, and what you may do',
  example: 'whoami',
  role: 'read',
  takes: {},
} as const satisfies VerbDeclaration

export const pageVerb = {
  name: 'page',
  help: 'an address of the page (admin.page: true) that lets in whoever opens it first, within ten minutes',
  example: 'page --role read',
  role: 'admin',
  changes: true,
  takes: {
    /** What the page may do then. */
    role: { type: 'string', enum: ['read', 'operate', 'admin'], default: 'admin' },
  },
} as const satisfies VerbDeclaration

export const recentVerb = {
  name: 'recent',
  help: 'what a client, or all, have published lately, without payloads; remembered where the config says admin.recent',
  example: 'recent meter-7 --since 60s',
  role: 'read',
  everywhere: true,
  takes: {
    /** Of this client only. */
    id: { type: 'string', minLength: 1, default: null },
    /** To topics that match this filter only. */
    topic: { type: 'string', minLength: 1, default: null },
    /** In the time up to now. */
    since: { type: 'duration', default: '60s', minimum: '1s', maximum: '1d' },
    limit,
  },
  positional: ['id'],
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
  help: 'messages as they are published; drops rather than slows',
  everywhere: true,
  streams: true,
  example: "tail 'plant/#' --for 10s",
  role: 'read',
  takes: { filter: { type: 'string', minLength: 1, default: '#' }, ...watched },
  positional: ['filter'],
} as const satisfies VerbDeclaration

export const traceVerb = {
  name: 'trace',
  help: 'the packets of a client, without passwords and payloads',
  everywhere: true,
  streams: true,
  example: 'trace meter-7 --for 60s',
  role: 'operate',
  takes: {
    id: { type: 'string', minLength: 1, default: null },
    /** All clients of this user. */
    user: { type: 'string', minLength: 1, default: null },
    /** All clients from this address, or this network: `10.0.0.0/8`. */
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
  streams: true,
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

declare module '../kit/verbs/verbs.js' {
  interface VerbMap {
    export: [given: object, answer: AsyncIterable<object>]
    tail: [
      given: { filter?: string; for?: number | string; limit?: number; payload?: boolean; node?: string },
      answer: AsyncIterable<TailPiece | DroppedPiece | MissingPiece>,
    ]
    trace: [
      given: {
        id?: string | null
        user?: string | null
        address?: string | null
        topic?: string | null
        for?: number | string
        limit?: number
        payload?: boolean
        node?: string
      },
      answer: AsyncIterable<TracePiece | DroppedPiece | MissingPiece>,
    ]
    import: [given: { skipExisting?: boolean; lines: AsyncIterable<string> }, answer: ImportAnswer]
    rates: [
      given: { span?: '10m' | '1h' | '24h'; limit?: number; since?: number | null; node?: string },
      answer: { rows: readonly RateRow[]; everyMs: number; missing?: readonly MissingNode[] },
    ]
    whoami: [given: object, answer: WhoamiAnswer]
    page: [given: { role?: 'read' | 'operate' | 'admin' }, answer: { url: string; role: string; expiresAt: number }]
    audit: [given: { limit?: number; node?: string }, answer: { rows: readonly AuditRow[]; missing?: readonly MissingNode[] }]
    recent: [
      given: { id?: string | null; topic?: string | null; since?: number | string; limit?: number; node?: string },
      answer: RecentAnswer,
    ]
    takeovers: [given: { limit?: number; node?: string }, answer: { rows: readonly TakeoverRow[]; missing?: readonly MissingNode[] }]
  }
}
