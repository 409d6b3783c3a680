import type { DropRow } from '../kit/services/drops.ts'
import type { VerbDeclaration } from '../kit/verbs/define-verb.ts'
import type { MissingNode } from '../kit/verbs/verbs.ts'

/** What `drops` tells. */
export interface DropsAnswer {
  /** How many messages were dropped in that time, by reason. */
  readonly dropped: Readonly<Record<string, number>>
  /** The last ones, the newest first. */
  readonly rows: readonly DropRow[]
  /** Nodes that have not answered. */
  readonly missing?: readonly MissingNode[]
}

export const dropsVerb = {
  name: 'drops',
  help: 'what was dropped or refused lately, whose, and why',
  example: 'drops --since 1h',
  role: 'read',
  everywhere: true,
  takes: {
    /** Of this client only. */
    id: { type: 'string', default: null },
    /** In the time up to now; at most a day. */
    since: { type: 'duration', default: '1h', minimum: '1m', maximum: '1d' },
    /** Rows at most. */
    limit: { type: 'integer', minimum: 1, maximum: 200, default: 50 },
  },
  positional: ['id'],
} as const satisfies VerbDeclaration

declare module '../kit/verbs/verbs.js' {
  interface VerbMap {
    drops: [given: { id?: string | null; since?: number | string; limit?: number; node?: string }, answer: DropsAnswer]
  }
}
