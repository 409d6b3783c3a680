import type { VerbDeclaration } from '../../plugins/kit/verbs/define-verb.ts'
import type { MissingNode } from '../../plugins/kit/verbs/verbs.ts'

export const endSessionVerb = {
  name: 'end-session',
  help: 'end a session, with its queue, its subscriptions and its will; a connection is closed (0x87)',
  example: 'end-session meter-7',
  role: 'admin',
  changes: true,
  takes: { id: { type: 'string', minLength: 1, required: true } },
  positional: ['id'],
} as const satisfies VerbDeclaration

export const drainVerb = {
  name: 'drain',
  help: 'let nobody in any more and send the clients of this node away, so many a second; sessions stay, and no publish fails',
  example: 'drain --rate 200 --reference mqtt-2.example.com',
  role: 'operate',
  changes: true,
  everywhere: true,
  ownWorkersOnly: true,
  takes: {
    /** Clients in a second. */
    rate: { type: 'integer', minimum: 1, maximum: 100_000, default: 100 },
    /** Where MQTT 5 clients are to go: a host, or `host:port`, as Server Reference. */
    reference: { type: 'string', minLength: 1, maxLength: 500, default: null },
    /** For good: 0x9D Server moved in place of 0x9C Use another server. */
    moved: { type: 'boolean', default: false },
  },
} as const satisfies VerbDeclaration

export const undrainVerb = {
  name: 'undrain',
  help: 'let clients in again',
  example: 'undrain',
  role: 'operate',
  changes: true,
  everywhere: true,
  ownWorkersOnly: true,
  yes: 'undrained',
  takes: {},
} as const satisfies VerbDeclaration

/** What `drain` has begun. */
export interface DrainAnswer {
  /** Clients that are connected, and will be sent away. */
  readonly clients: number
  /** How many a second. */
  readonly rate: number
  /** Where MQTT 5 clients are told to go; null: nowhere. */
  readonly reference: string | null
  /** When the last of them goes, as it looks: milliseconds since the Unix epoch. */
  readonly endsAt: number
  /** Workers that have not answered. */
  readonly missing?: readonly MissingNode[]
}

/** What `undrain` has done. */
export interface UndrainAnswer {
  /** The node was being drained, and lets clients in again. */
  readonly undrained: boolean
  /** Where it listens again. */
  readonly listeners: readonly string[]
  /** Workers that have not answered. */
  readonly missing?: readonly MissingNode[]
}

export const reloadVerb = {
  name: 'reload',
  help: 'read the config again, and the files that it names, as SIGHUP does',
  example: 'reload',
  role: 'operate',
  changes: true,
  yes: 'done',
  takes: {},
} as const satisfies VerbDeclaration

export const configVerb = {
  name: 'config',
  help: 'the config in force at this node: every option, its value, and who set it; secrets are masked',
  example: 'config --match socket',
  // Hosts and paths of files stand in it.
  role: 'operate',
  takes: {
    /** Options whose path has this in it. */
    match: { type: 'string', minLength: 1, default: null },
  },
} as const satisfies VerbDeclaration

/** An option of the config. */
export interface ConfigRow {
  /** Its path: `socket.port`. */
  readonly path: string
  /** Its value, as `check` shows it. */
  readonly value: string
  /** Who set it: a file, a variable, `--set`, a preset, or `default`. */
  readonly by: string
}

/** The config of a running broker. */
export interface ConfigAnswer {
  /** The preset. */
  readonly preset: string
  /** The config file; null: there is none. */
  readonly file: string | null
  /** The plugins, in order. */
  readonly plugins: readonly string[]
  /** What is probably not meant. */
  readonly warnings: readonly string[]
  /** The options: those at the root, then those of each plugin, in order. */
  readonly rows: readonly ConfigRow[]
}

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

declare module '../../plugins/kit/verbs/verbs.js' {
  interface VerbMap {
    'end-session': [given: { id: string }, answer: { id: string; connections: number }]
    drain: [given: { rate?: number; reference?: string | null; moved?: boolean; node?: string }, answer: DrainAnswer]
    undrain: [given: { node?: string }, answer: UndrainAnswer]
    reload: [given: object, answer: ConfigReading & { done: boolean }]
    config: [given: { match?: string | null }, answer: ConfigAnswer]
    'config diff': [given: { file?: string | null }, answer: { taken: readonly string[]; later: readonly string[] }]
    'config changes': [given: object, answer: { rows: readonly ConfigReading[] }]
  }
}
