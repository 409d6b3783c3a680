import type { OptionsSchema } from '../../../core/options/options.ts'
import type { VerbDeclaration } from '../../../plugins/kit/verbs/define-verb.ts'
import { replayCommand } from '../replay/declaration.ts'

// What the command line does by itself, with stores whose brokers are stopped. Nothing here imports an implementation: the help reads it, too.

const store = { type: 'string', minLength: 1, default: null } as const
const storeRequired = { type: 'string', minLength: 1, required: true } as const

export const migrateCommand = {
  name: 'migrate',
  help: 'copy all that stopped brokers keep to another store, which is empty; a store is disk:FOLDER, redis://HOST, or a config file',
  example: 'migrate --from disk:./data --to redis://localhost:6379',
  role: 'admin',
  changes: true,
  takes: {
    /** Where it is; it stays there. */
    from: storeRequired,
    /** Where it is to be, too. */
    to: storeRequired,
  },
} as const satisfies VerbDeclaration

export const restoreCommand = {
  name: 'restore',
  help: 'lay a backup into folders that are empty, and look whether all of it is there',
  example: 'restore backups/monday --to ./data',
  role: 'admin',
  changes: true,
  takes: {
    /** The folder of the backup. */
    backup: storeRequired,
    /** The folder that becomes that of `disk`. */
    to: store,
    /** The folder that becomes that of `diskQueue`. */
    queueTo: store,
    /** The config whose folders they become. */
    config: store,
  },
  positional: ['backup'],
} as const satisfies VerbDeclaration

/** Those that no broker has. */
export const localCommands: readonly string[] = [migrateCommand.name, restoreCommand.name, replayCommand.name]

/** What names a file or a folder of the machine on which the broker is, as whoever types it sees them. */
export const pathArguments: Readonly<Record<string, string>> = { backup: 'folder' }

/** What verbs of a broker's take besides, on the command line: with one of these no broker is asked. */
export const ownOptions: Readonly<Record<string, { readonly takes: OptionsSchema; readonly positional?: readonly string[] }>> = {
  export: {
    takes: {
      /** The store of a stopped broker. */
      from: store,
    },
  },
  compact: {
    takes: {
      /** The folder of a stopped broker, and no broker is asked. */
      folder: store,
    },
  },
  import: {
    takes: {
      /** The file of the export; `-`: standard input. */
      file: storeRequired,
      /** The store of a stopped broker. */
      to: store,
    },
    positional: ['file'],
  },
}
