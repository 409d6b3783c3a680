import type { OptionSchema, OptionsSchema } from '../../../core/options/options.ts'
import { isRecord } from './plain-data.ts'
import { durationMsMax, parseBytes, parseDuration } from './quantity.ts'

// What ajv costs at a start is mostly its loading and compiling (preset test with `--port`: 130 of 600 ms of CPU). Most options are left as by default or are set to
// something simple that is right, so these are looked at here; ajv is asked about everything else, and about all that is wrong.

/** The value cannot be judged here, or it is wrong. */
export const onlyAjvKnows = Symbol('only ajv knows')

/** The options with their defaults, where each of them is surely right; a new object. */
export function plainOptions(schema: OptionsSchema, given: Record<string, unknown>): Record<string, unknown> | typeof onlyAjvKnows {
  const options: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(schema, name)) return onlyAjvKnows
    const plain = plainValue(schema[name]!, value)
    if (plain === onlyAjvKnows) return onlyAjvKnows
    options[name] = plain
  }
  for (const [name, option] of Object.entries(schema)) {
    if (Object.hasOwn(options, name)) continue
    const plain = plainDefault(option)
    if (plain === onlyAjvKnows) return onlyAjvKnows
    if (plain !== undefined) options[name] = plain
  }
  return options
}

/** What an option is where nobody sets it; `undefined`: it is left out then. */
function plainDefault(option: OptionSchema): unknown {
  const value: unknown = option.default
  if (value === undefined) {
    if (option.required === true) return onlyAjvKnows
    return 'properties' in option ? plainOptions(option.properties, {}) : undefined
  }
  if (value === null || typeof value === 'boolean') return value
  if (typeof value === 'object' || 'oneOf' in option) return plainValue(option, value)
  // A default is trusted to be within its own bounds, which the tests of all plugins' options see to.
  if (option.type === 'duration') return parseDuration(value) ?? onlyAjvKnows
  if (option.type === 'bytes') return parseBytes(value) ?? onlyAjvKnows
  return value
}

/** What a plugin gets for a value that is surely right. */
function plainValue(option: OptionSchema, value: unknown): unknown {
  if (value === null) return option.nullable === true || option.default === null ? null : onlyAjvKnows
  if ('oneOf' in option) return plainOneOf(option.oneOf, value)
  switch (option.type) {
    case 'boolean':
      return typeof value === 'boolean' ? value : onlyAjvKnows
    case 'integer':
    case 'number': {
      const { type, minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY, enum: choices } = option
      const isOne = type === 'integer' ? Number.isInteger(value) : Number.isFinite(value)
      if (!isOne || (value as number) < minimum || (value as number) > maximum) return onlyAjvKnows
      return choices === undefined || choices.includes(value as number) ? value : onlyAjvKnows
    }
    case 'string': {
      const { minLength = 0, maxLength = Number.POSITIVE_INFINITY, pattern, enum: choices } = option
      if (typeof value !== 'string') return onlyAjvKnows
      const { length } = [...value]
      if (length < minLength || length > maxLength || (pattern !== undefined && !new RegExp(pattern, 'u').test(value))) return onlyAjvKnows
      return choices === undefined || choices.includes(value) ? value : onlyAjvKnows
    }
    case 'duration':
      return within(value, parseDuration, option.minimum ?? 0, option.maximum ?? durationMsMax)
    case 'bytes':
      return within(value, parseBytes, option.minimum ?? 0, option.maximum ?? Number.MAX_SAFE_INTEGER)
    case 'array':
    case 'list':
      return Array.isArray(value) ? plainList(value, option) : onlyAjvKnows
    case 'object':
      if (!isRecord(value)) return onlyAjvKnows
      return 'properties' in option ? plainOptions(option.properties, value) : plainRecord(value, option.values)
    case 'any':
      return value
  }
}

type ListOption = Extract<OptionSchema, { type: 'array' | 'list' }>

function plainList(values: readonly unknown[], { items, minItems = 0, maxItems = Number.POSITIVE_INFINITY }: ListOption): unknown {
  if (values.length < minItems || values.length > maxItems) return onlyAjvKnows
  const plain = values.map(value => plainValue(items, value))
  return plain.includes(onlyAjvKnows) ? onlyAjvKnows : plain
}

function plainRecord(values: Record<string, unknown>, option: OptionSchema): unknown {
  const plain = Object.entries(values).map(([name, value]) => [name, plainValue(option, value)] as const)
  return plain.some(([, value]) => value === onlyAjvKnows) ? onlyAjvKnows : Object.fromEntries(plain)
}

/** The first form that takes it decides. */
function plainOneOf(forms: readonly OptionSchema[], value: unknown): unknown {
  // Defaults within one of several forms are ajv's affair.
  if (isRecord(value)) return onlyAjvKnows
  for (const form of forms) {
    if (!('type' in form) || form.type === 'any') return onlyAjvKnows
    if ('items' in form && Array.isArray(value) && !isScalar(form.items)) return onlyAjvKnows
    const plain = plainValue(form, value)
    if (plain !== onlyAjvKnows) return plain
  }
  return onlyAjvKnows
}

function isScalar(option: OptionSchema): boolean {
  return 'type' in option && !/^(object|array|list|any)$/.test(option.type)
}

function within(value: unknown, parse: (value: unknown) => number | undefined, least: number | string, most: number | string): unknown {
  const amount = parse(value)
  return amount !== undefined && amount >= parse(least)! && amount <= parse(most)! ? amount : onlyAjvKnows
}
