import type { VerbDeclaration } from '../kit/verbs/define-verb.ts'

export const levelVerb = {
  name: 'log-level',
  help: "change the log's level at this node, for a while if you say so",
  example: 'log-level debug --for 10m',
  role: 'operate',
  changes: true,
  takes: {
    level: { type: 'string', enum: ['trace', 'debug', 'info', 'warn', 'error', 'silent'], required: true },
    /** Then the level that the config says comes back. `null`: it stays until the config is read again or the broker starts anew. */
    for: { type: 'duration', minimum: '1s', default: null },
  },
  positional: ['level'],
} as const satisfies VerbDeclaration

declare module '../../core/verbs.js' {
  interface VerbMap {
    'log-level': [given: { level: string; for?: number | string | null }, answer: { level: string; before: string; until: number | null }]
  }
}
