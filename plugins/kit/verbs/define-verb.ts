import type { Actor } from '../../../core/actor.ts'
import type { Broker } from '../../../core/broker.ts'
import { OperatorError } from '../../../core/errors.ts'
import type { OptionsOf, OptionsSchema } from '../../../core/options/options.ts'
import { readText } from '../options/read-text.ts'
import { validateOptions } from '../options/validation.ts'
import type { MissingNode, Verb, VerbPart } from './verbs.ts'

/** What an actor may do: `read` asks, `operate` changes things, `admin` sees payloads and does what cannot be undone. Each may what the one before may. */
export type Role = 'read' | 'operate' | 'admin'

const roles: readonly Role[] = ['read', 'operate', 'admin']

/** The roles whose verbs a role may use: its own, and those before it. */
export function rolesOf(role: Role): readonly Role[] {
  return roles.slice(0, roles.indexOf(role) + 1)
}

/** What a verb says of itself: help, completion, routes and the OpenAPI document come from it. */
export interface VerbDeclaration<S extends OptionsSchema = OptionsSchema> {
  /** Lower case, words with a blank between them: `clients`, `retained rm`. */
  readonly name: string
  /** One line: what it tells, or does. */
  readonly help: string
  /** What to type behind `mqttx-broker`: `clients --user alice`. */
  readonly example: string
  /** The least role that may use it. */
  readonly role: Role
  /** It changes something. Default: false. */
  readonly changes?: boolean
  /** The part of the answer that says yes: where it is false or 0, the command line ends with exit code 3. Default: none. */
  readonly yes?: string
  /** All nodes are asked; it takes `node`, too. Default: false. */
  readonly everywhere?: boolean
  /** It is given lines of text beside its arguments, as `lines`: by HTTP the body is `application/x-ndjson`, and the arguments stand in the query. Default: false. */
  readonly takesLines?: boolean
  /** Its answer comes in pieces, as an `AsyncIterable`: by HTTP as `application/x-ndjson`. Default: false. */
  readonly streams?: boolean
  /** Its pieces are meant for programs: the command line prints each as JSON, asked for or not. Default: false. */
  readonly printsJson?: boolean
  /** With `everywhere`: where nobody is named, the workers of this broker are asked, and no other nodes. Default: false. */
  readonly ownWorkersOnly?: boolean
  /** With `everywhere`: it may take long, so nodes are asked one after the other, and each is waited for as long as it lives. Default: false, all at once, and each for 2 s. */
  readonly inTurn?: boolean
  /** What it takes, declared as options are. */
  readonly takes: S
  /** The arguments that may stand without their names, in order. Default: none. */
  readonly positional?: readonly (keyof S & string)[]
}

/** What a verb does; its arguments are checked and complete. */
export interface VerbWork<S extends OptionsSchema = OptionsSchema> {
  /** Asks, or acts, at this node. An answer that is an `AsyncIterable` is sent piece by piece. `lines`: of a verb that takes lines; none otherwise. */
  run(broker: Broker, given: OptionsOf<S>, actor: Actor, lines: AsyncIterable<string>): unknown
  /** Makes one answer of those of all nodes, where the verb is asked everywhere; without it the first is taken. */
  merge?(parts: readonly VerbPart[], missing: readonly MissingNode[], given: OptionsOf<S>): unknown
}

/** A verb with what it says of itself. */
export interface DescribedVerb extends Verb, VerbDeclaration {
  /** It changes something. */
  readonly changes: boolean
}

/** Makes a verb whose arguments are checked by what it takes; texts are read as the command line's are. Hand it to `broker.verbs.add`. */
export function defineVerb<const S extends OptionsSchema>(
  broker: Broker,
  declaration: VerbDeclaration<S>,
  work: VerbWork<S> | (() => Promise<VerbWork<S>>),
): DescribedVerb {
  let loaded: VerbWork<S> | undefined
  const load = async (): Promise<VerbWork<S>> => {
    loaded ??= typeof work === 'function' ? await work() : work
    return loaded
  }
  const everywhere = declaration.everywhere === true
  const takes: OptionsSchema = everywhere ? { ...declaration.takes, node: nodeOption } : declaration.takes
  const checked = (given: object): OptionsOf<S> => checkArguments(declaration.name, takes, given) as OptionsOf<S>
  const verb: DescribedVerb = {
    ...(declaration as unknown as VerbDeclaration),
    takes,
    changes: declaration.changes === true,
    run: async (given, actor) => {
      const { lines = noLines(), ...rest } = given as { lines?: AsyncIterable<string> }
      const options = checked(declaration.takesLines === true ? rest : given)
      return await (await load()).run(broker, options, actor, lines)
    },
  }
  if (!everywhere) return verb
  return {
    ...verb,
    merge: async (parts, missing, given) => {
      const { merge } = await load()
      return merge === undefined ? parts[0]?.answer : merge(parts, missing, checked(given))
    },
  }
}

async function* noLines(): AsyncGenerator<string, void, undefined> {}

const nodeOption = { type: 'string', default: null } as const

/** Arguments as a verb gets them: texts read, defaults filled in. Throws an `OperatorError` with all that is wrong. */
export function checkArguments(name: string, takes: OptionsSchema, given: object): object {
  const read: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(given)) {
    const option = Object.hasOwn(takes, key) ? takes[key] : undefined
    read[key] = typeof value === 'string' && option !== undefined ? readText(option, value) : value
  }
  const { options, problems } = validateOptions(takes, read, '')
  if (problems.length > 0)
    throw new OperatorError(
      'ERR_ARGUMENTS',
      problems.map(({ path, text }) => `${name}: ${path}: ${text}`),
    )
  return options
}
