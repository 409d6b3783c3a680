import type { VerbDeclaration } from '../kit/verbs/define-verb.ts'
import type { MissingNode } from '../kit/verbs/verbs.ts'

export const backupVerb = {
  name: 'backup',
  help: 'copy what this node keeps on disk, its workers too, to a new folder, while it serves; says up to which moment all that was acknowledged is in it',
  example: 'backup backups/monday',
  role: 'admin',
  changes: true,
  takes: { folder: { type: 'string', minLength: 1, required: true } },
  positional: ['folder'],
} as const satisfies VerbDeclaration

export const compactVerb = {
  name: 'compact',
  help: 'give space on disk that nothing is kept in any more back to the system; acknowledgements wait while it works',
  example: 'compact',
  role: 'admin',
  changes: true,
  everywhere: true,
  ownWorkersOnly: true,
  // A gigabyte takes seconds; and the disk need have room for one copy at a time only.
  inTurn: true,
  takes: {},
} as const satisfies VerbDeclaration

/** A folder in a backup. */
export interface BackupRow {
  /** The plugin whose folder it is. */
  readonly plugin: string
  /** The folder below that of the backup: of several workers `disk/workers-2/1`. */
  readonly folder: string
  /** How long its file is. */
  readonly bytes: number
}

/** A backup that was made. */
export interface BackupAnswer {
  /** Where it lies. */
  readonly folder: string
  /** All that was acknowledged before this moment is in it: the time of day in UTC, to the millisecond. */
  readonly upTo: string
  /** What this broker keeps elsewhere, which is not in it; null: nothing. */
  readonly elsewhere: string | null
  /** Its parts. */
  readonly rows: readonly BackupRow[]
}

/** What was compacted. */
export interface CompactAnswer {
  /** The folders, those of other workers too. */
  readonly rows: readonly CompactRow[]
  /** Workers that have not answered; their folders are as they were, or are compacted. */
  readonly missing?: readonly MissingNode[]
}

/** A folder that was compacted. */
export interface CompactRow {
  /** The plugin whose folder it is. */
  readonly plugin: string
  /** The folder. */
  readonly folder: string
  /** How long its file was. */
  readonly beforeBytes: number
  /** How long it is now. */
  readonly afterBytes: number
  /** How long acknowledgements waited. */
  readonly heldMs: number
}

declare module '../kit/verbs/verbs.js' {
  interface VerbMap {
    backup: [given: { folder: string }, answer: BackupAnswer]
    compact: [given: { node?: string }, answer: CompactAnswer]
  }
}
