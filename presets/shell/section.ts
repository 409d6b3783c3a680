import type { OptionsSchema } from '../../core/options/options.ts'
import { showShape } from '../../plugins/kit/options/describe.ts'
import { isRecord } from '../../plugins/kit/options/plain-data.ts'
import { type Problem, validateOptions } from '../../plugins/kit/options/validation.ts'

/**
 * A section of a config as its sources give it: the options of a plugin, with `enable` beside them, which says whether the plugin is on and is not
 * handed to it. A plugin that listens may have a list of them.
 */
export type SectionValue = Record<string, unknown> | readonly Record<string, unknown>[]

/** What a section may hold: the options of its plugin, and `enable`. */
export function sectionSchema(options: OptionsSchema = {}): OptionsSchema {
  return { enable: { type: 'boolean' }, ...options }
}

/** A section as it was written, `true` and `false` as `{ enable }`; or what it must be. */
export function readSection(value: unknown, takesList: boolean): SectionValue | { readonly fault: string } {
  if (typeof value === 'boolean') return { enable: value }
  if (isRecord(value)) return value
  if (takesList && Array.isArray(value) && value.every(isRecord)) return value
  const text = `must be true, false${takesList ? ', an object of options or a list of such objects' : ' or an object of options'}`
  return { fault: `${text}, got ${showShape(value)}` }
}

/** A section turns its plugin off. */
export function isOff(section: unknown): boolean {
  return isRecord(section) && section.enable === false
}

/** The options of a section, without `enable`. */
export function optionsOf(section: Record<string, unknown>): Record<string, unknown> {
  const { enable: _enable, ...options } = section
  return options
}

/** Checks one section, which is no list: its options complete and frozen, and what is wrong with it. */
export function checkSection(schema: OptionsSchema, section: unknown, at: string): { options: object; problems: Problem[] } {
  if (!isRecord(section)) return validateOptions(schema, section, at)
  const { options, problems } = validateOptions(schema, optionsOf(section), at)
  const { enable } = section
  if (enable === undefined || typeof enable === 'boolean') return { options, problems }
  return { options, problems: [{ path: `${at}.enable`, text: `must be true or false, got ${showShape(enable)}` }, ...problems] }
}
