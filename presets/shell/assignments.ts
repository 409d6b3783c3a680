import type { OptionSchema, OptionsSchema } from '../../core/options/options.ts'
import { describeOption, showGiven } from '../../plugins/kit/options/describe.ts'
import { nestingFault } from '../../plugins/kit/options/nesting.ts'
import { readText } from '../../plugins/kit/options/read-text.ts'
import { fold, unknownName } from '../../plugins/kit/options/suggestion.ts'
import type { Problem } from '../../plugins/kit/options/validation.ts'
import type { Catalogue } from './catalogue.ts'
import { rootOptionsOf } from './root-options.ts'
import { sectionSchema } from './section.ts'

/** One value given as text: `--set socket.port=1884`, `MQTTX_SOCKET__PORT=1884`. */
export interface Assignment {
  readonly keys: readonly string[]
  readonly text: string
  /** Who says so, for `check` and for errors: `--port`, `MQTTX_SOCKET__PORT`. */
  readonly who: string
}

/** A value found and read by the schema, or what is wrong with it. */
export type ReadAssignment = { readonly keys: readonly string[]; readonly value: unknown } | { readonly problem: Problem }

const prefix = 'MQTTX_'

/** The assignments that the environment makes: `MQTTX_SYS_TOPIC__INTERVAL=10s`. `__` descends; `_` and case do not count. */
export function environmentAssignments(env: Readonly<Record<string, string | undefined>>): Assignment[] {
  const assignments: Assignment[] = []
  for (const name of Object.keys(env).sort()) {
    const text = env[name]
    if (name.startsWith(prefix) && text !== undefined && !isAdminSocket(name, text))
      assignments.push({ keys: name.slice(prefix.length).split('__'), text, who: name })
  }
  return assignments
}

// Where the command line finds a running broker's admin socket: no option, though `socket` is a section.
function isAdminSocket(name: string, text: string): boolean {
  return name === 'MQTTX_SOCKET' && /\/|\.sock$/.test(text)
}

/** Finds the option that an assignment from the environment means, and reads its text by the schema. */
export function readEnvironment(catalogue: Catalogue, assignment: Assignment): ReadAssignment {
  return read(catalogue, assignment, (name, names) => names.find(candidate => fold(candidate) === fold(name)), environmentName)
}

/** Finds the option that `--set` means: names there are exact, as in a file. */
export function readSet(catalogue: Catalogue, assignment: Assignment): ReadAssignment {
  return read(
    catalogue,
    assignment,
    (name, names) => names.find(candidate => candidate === name),
    keys => keys.join('.'),
  )
}

type Find = (name: string, names: readonly string[]) => string | undefined

function read(catalogue: Catalogue, assignment: Assignment, find: Find, show: (keys: readonly string[]) => string): ReadAssignment {
  let option: OptionSchema = { type: 'object', properties: rootSchema(catalogue) }
  const keys: string[] = []
  for (const [depth, name] of assignment.keys.entries()) {
    const unknown = (names: readonly string[]): ReadAssignment => {
      const said = show(assignment.keys)
      const above = assignment.keys.slice(0, depth)
      const suggestion = unknownName(name, names)
      // Suggest what to type: the whole name of the variable, not the part of it that was wrong.
      const meant = /did you mean (.*)\?$/.exec(suggestion)?.[1]
      const text =
        meant === undefined ? suggestion : `unknown; did you mean ${show([...above, meant, ...assignment.keys.slice(depth + 1)])}?`
      return { problem: { path: said, text: `${text}${assignment.who === said ? '' : ` (${assignment.who})`}` } }
    }
    if ('properties' in option) {
      const names = Object.keys(option.properties)
      const found = find(name, names)
      if (found !== undefined) {
        keys.push(found)
        option = option.properties[found]!
        continue
      }
      const isIndex = depth === 1 && /^\d+$/.test(name) && catalogue.plugins[keys[0]!]?.manifest.listener === true
      if (!isIndex) return unknown(names)
      keys.push(name)
    } else if ('values' in option) {
      keys.push(name)
      option = option.values
    } else {
      return unknown([])
    }
  }
  const [root] = keys
  const isSection = keys.length === 1 && root !== undefined && Object.hasOwn(catalogue.plugins, root)
  if (isSection) option = { oneOf: [{ type: 'boolean' }, { type: 'any' }] }
  const value = readText(option, assignment.text)
  const wantsJson = 'type' in option && (option.type === 'array' || option.type === 'list' || option.type === 'object')
  if (wantsJson && typeof value === 'string') {
    const text = `must be ${describeOption(option)}, written as JSON, got ${showGiven(assignment.text, option, keys.at(-1))} (${assignment.who})`
    return { problem: { path: keys.join('.'), text } }
  }
  const fault = nestingFault(value)
  return fault === null ? { keys, value } : { problem: { path: keys.join('.'), text: `${fault} (${assignment.who})` } }
}

const rootSchemas = new WeakMap<Catalogue, OptionsSchema>()

function rootSchema(catalogue: Catalogue): OptionsSchema {
  let schema = rootSchemas.get(catalogue)
  if (schema === undefined) {
    const sections: Record<string, OptionSchema> = {}
    for (const [name, { manifest }] of Object.entries(catalogue.plugins)) {
      sections[name] = { type: 'object', properties: sectionSchema(manifest.options) }
    }
    schema = { preset: { type: 'string' }, plugins: { type: 'list', items: { type: 'any' } }, ...rootOptionsOf(catalogue), ...sections }
    rootSchemas.set(catalogue, schema)
  }
  return schema
}

/** The variable that sets an option: `sysTopic.interval` is `MQTTX_SYS_TOPIC__INTERVAL`. */
export function environmentName(keys: readonly string[]): string {
  const words = keys.map(key => (/[a-z]/.test(key) ? key.replace(/([a-z0-9])([A-Z])/g, '$1_$2') : key).toUpperCase())
  return prefix + words.join('__')
}
