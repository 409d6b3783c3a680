import type { OptionsSchema } from '../../../core/options/options.ts'
import type { verbsVerb } from './declarations.ts'
import type { DescribedVerb, Role, VerbWork } from './define-verb.ts'

/** A verb, as help, completion and routes need it. */
export interface VerbRow {
  /** Its name: `clients`, `retained rm`. */
  readonly name: string
  /** What it tells, or does. */
  readonly help: string
  /** What to type behind `mqttx-broker`. */
  readonly example: string
  /** The least role that may use it. */
  readonly role: Role
  /** It changes something. */
  readonly changes: boolean
  /** The part of the answer that says yes; null: none does. */
  readonly yes: string | null
  /** What it takes, declared as options are. */
  readonly takes: OptionsSchema
  /** The arguments that may stand without their names. */
  readonly positional: readonly string[]
  /** It is given lines of text, too. */
  readonly takesLines: boolean
  /** Its answer comes in pieces. */
  readonly streams: boolean
  /** The command line prints its pieces as JSON. */
  readonly printsJson: boolean
}

/** The verbs of this broker. */
export const listed: VerbWork<typeof verbsVerb.takes> = {
  run: (broker): { rows: VerbRow[] } => ({ rows: [...broker.verbs].map(rowOf) }),
}

/** What a verb says of itself; whoever has declared nothing needs the highest role. */
export function rowOf(
  verb: { readonly name: string; readonly changes?: boolean } & Partial<Omit<DescribedVerb, 'name' | 'changes'>>,
): VerbRow {
  const { name, changes = false, help = '', example = name, role = 'admin', yes = null, takes = {}, positional = [] } = verb
  const { everywhere, takesLines = false, streams = false, printsJson = false } = verb
  const node = everywhere === true ? { node: { type: 'string', default: null } as const } : {}
  return { name, help, example, role, changes, yes, takes: { ...takes, ...node }, positional, takesLines, streams, printsJson }
}
