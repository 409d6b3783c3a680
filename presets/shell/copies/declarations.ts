import type { OptionsSchema } from '../../../core/options/options.ts'
import type { VerbDeclaration } from '../../../plugins/kit/verbs/define-verb.ts'

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

/** Those that no broker has. */
export const localCommands: readonly string[] = [migrateCommand.name]

/** What verbs of a broker's take besides, on the command line: with one of these no broker is asked. */
export const ownOptions: Readonly<Record<string, { readonly takes: OptionsSchema; readonly positional?: readonly string[] }>> = {
  export: {
    takes: {
      /** The store of a stopped broker. */
      from: store,
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
