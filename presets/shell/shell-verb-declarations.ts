import type { VerbDeclaration } from '../../plugins/kit/verbs/define-verb.ts'

export const endSessionVerb = {
  name: 'end-session',
  help: 'end a session, with its queue, its subscriptions and its will; a connection is closed (0x87)',
  example: 'end-session meter-7',
  role: 'admin',
  changes: true,
  takes: { id: { type: 'string', minLength: 1, required: true } },
  positional: ['id'],
} as const satisfies VerbDeclaration

export const reloadVerb = {
  name: 'reload',
  help: 'read the config again, and the files that it names, as SIGHUP does',
  example: 'reload',
  role: 'operate',
  changes: true,
  yes: 'done',
  takes: {},
} as const satisfies VerbDeclaration

export const configDiffVerb = {
  name: 'config diff',
  help: 'what reading the config again would change, or another config file; nothing is changed',
  example: 'config diff new.config.ts',
  // The file may be a program.
  role: 'admin',
  takes: { file: { type: 'string', minLength: 1, default: null } },
  positional: ['file'],
} as const satisfies VerbDeclaration

export const configChangesVerb = {
  name: 'config changes',
  help: 'what readings of the config have changed since the start',
  example: 'config changes',
  role: 'read',
  takes: {},
} as const satisfies VerbDeclaration

/** One reading of the config. */
export interface ConfigReading {
  /** When: milliseconds since the Unix epoch. */
  readonly at: number
  /** What was taken up. */
  readonly taken: readonly string[]
  /** What only the next start takes up. */
  readonly later: readonly string[]
  /** Why nothing was taken up; null: it was. */
  readonly failed: string | null
}

declare module '../../core/verbs.js' {
  interface VerbMap {
    'end-session': [given: { id: string }, answer: { id: string; connections: number }]
    reload: [given: object, answer: ConfigReading & { done: boolean }]
    'config diff': [given: { file?: string | null }, answer: { taken: readonly string[]; later: readonly string[] }]
    'config changes': [given: object, answer: { rows: readonly ConfigReading[] }]
  }
}
