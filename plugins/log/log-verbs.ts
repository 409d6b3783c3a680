import type { VerbDeclaration } from '../kit/verbs/define-verb.ts'
import type { MissingNode } from '../kit/verbs/verbs.ts'

/** A line of the log. */
export interface LogRow {
  /** When: milliseconds since the Unix epoch. */
  readonly at: number
  /** The node that has written it. */
  readonly node: string
  /** `trace`, `debug`, `info`, `warn` or `error`. */
  readonly level: string
  /** What it says. */
  readonly text: string
  /** What else stands in it: the client, its address, a reason. */
  readonly fields: Readonly<Record<string, unknown>>
}

/** The last lines of the log, the oldest first. */
export interface LogAnswer {
  /** The lines. */
  readonly rows: readonly LogRow[]
  /** What to ask on with, as `after`, for what is written from now on. */
  readonly cursor: string
  /** Nodes that have not answered. */
  readonly missing?: readonly MissingNode[]
}

export const logsVerb = {
  name: 'logs',
  help: 'the last lines of the log, of which a node keeps a thousand',
  example: 'logs --level warn',
  role: 'read',
  everywhere: true,
  takes: {
    /** The least level. */
    level: { type: 'string', enum: ['trace', 'debug', 'info', 'warn', 'error'], default: 'trace' },
    /** Lines with this text in them, whatever its case. */
    match: { type: 'string', minLength: 1, default: null },
    /** Lines of each node at most. */
    limit: { type: 'integer', minimum: 1, maximum: 200, default: 50 },
    /** What `cursor` of an earlier answer said: only what was written since. */
    after: { type: 'string', default: null },
  },
} as const satisfies VerbDeclaration

export const levelVerb = {
  name: 'log-level',
  help: "change the log's level at this node and its workers, for a while if you say so",
  example: 'log-level debug --for 10m',
  role: 'operate',
  changes: true,
  everywhere: true,
  ownWorkersOnly: true,
  takes: {
    level: { type: 'string', enum: ['trace', 'debug', 'info', 'warn', 'error', 'silent'], required: true },
    /** Then the level that the config says comes back. `null`: it stays until the config is read again or the broker starts anew. */
    for: { type: 'duration', minimum: '1s', default: null },
  },
  positional: ['level'],
} as const satisfies VerbDeclaration

/** The level of the log has changed. */
export interface LevelAnswer {
  /** The level from now on. */
  readonly level: string
  /** What it was before. */
  readonly before: string
  /** When the level of the config comes back: milliseconds since the Unix epoch; null: not by itself. */
  readonly until: number | null
  /** Workers of this broker that have not answered. */
  readonly missing?: readonly MissingNode[]
}

declare module '../kit/verbs/verbs.js' {
  interface VerbMap {
    logs: [given: { level?: string; match?: string | null; limit?: number; after?: string | null; node?: string }, answer: LogAnswer]
    'log-level': [given: { level: string; for?: number | string | null; node?: string }, answer: LevelAnswer]
  }
}
