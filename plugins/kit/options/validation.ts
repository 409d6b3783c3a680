import { createRequire } from 'node:module'
import type { Ajv as AjvInstance, ErrorObject, ValidateFunction } from 'ajv'
import { OperatorError } from '../../../core/errors.ts'
import type { OptionSchema, OptionsSchema } from '../../../core/options/options.ts'
import { describeOption, formFor, optionAt, showGiven, showShape } from './describe.ts'
import { durationMsMax, parseBytes, parseDuration } from './quantity.ts'
import { unknownName } from './suggestion.ts'

/** One thing wrong with the config. */
export interface Problem {
  /** Plugin (section) and keys: `socket.port`, `socket[1].port`. */
  readonly path: string
  /** What is wrong, and the cure. */
  readonly text: string
  /** A required option was not given: no problem where the plugin is off. */
  readonly missing?: boolean
}

/** Checks options against their schema. Returns them complete and frozen, or throws every problem at once. `section` names the plugin. */
export function checkOptions(schema: OptionsSchema, given: unknown, section: string): object {
  const { options, problems } = validateOptions(schema, given, section)
  if (problems.length > 0)
    throw new OperatorError(
      'ERR_CONFIG',
      problems.map(problem => `${problem.path}: ${problem.text}`),
    )
  return options
}

/** As `checkOptions`, for whoever collects the problems of several sections. `at` is the path so far; `''` for the root. */
export function validateOptions(schema: OptionsSchema, given: unknown, at: string): { options: object; problems: Problem[] } {
  if (!isRecord(given)) {
    return { options: {}, problems: [{ path: at, text: `must be an object of options, got ${showShape(given)}` }] }
  }
  const options = clone(given)
  // Most options of most sections are as by default, and what ajv would compile for them is most of what it costs at a start (preset test:
  // 60 of 700 ms of CPU): it is asked about those that somebody has set, or that have no plain default.
  const asked = Object.keys(schema).filter(name => Object.hasOwn(options, name) || plainDefault(schema[name]!) === unknownDefault)
  const isDefault = asked.length === 0 && Object.keys(options).length === 0
  const validate = isDefault ? null : compiled(schema, asked)
  const problems = validate === null || validate(options) ? [] : translate(validate.errors ?? [], schema, options, at)
  for (const [name, option] of Object.entries(schema)) {
    if (asked.includes(name)) continue
    const value = plainDefault(option)
    if (value !== undefined) options[name] = value
  }
  return { options: deepFreeze(options), problems }
}

/** An object of plain data, as opposed to an instance, a list or a function. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype = Object.getPrototypeOf(value)
  // An object from another realm (jiti, vm) has a prototype of its own kind: look one level further.
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/** Freezes plain objects and lists to the ground; instances and functions stay as they are. */
export function deepFreeze<T>(value: T): T {
  if (Array.isArray(value) || isRecord(value)) {
    for (const part of Object.values(value)) deepFreeze(part)
    Object.freeze(value)
  }
  return value
}

/** A copy of plain objects and lists without the keys that are `undefined`: those were not set. */
export function clone<T>(value: T): T {
  if (Array.isArray(value)) return value.map(clone) as T
  if (!isRecord(value)) return value
  const copy: Record<string, unknown> = {}
  for (const [key, part] of Object.entries(value)) {
    // Plain assignment to __proto__ would replace the prototype and hide the key from the check.
    if (part !== undefined) Object.defineProperty(copy, key, { value: clone(part), enumerable: true, writable: true, configurable: true })
  }
  return copy as T
}

const unknownDefault = Symbol('only ajv knows')

/** What an option is where nobody sets it; `undefined`: it is left out then. */
function plainDefault(option: OptionSchema): unknown {
  const value: unknown = option.default
  if (value === undefined) {
    if (option.required === true) return unknownDefault
    if (!('properties' in option)) return undefined
    const parts: Record<string, unknown> = {}
    for (const [name, part] of Object.entries(option.properties)) {
      const one = plainDefault(part)
      if (one === unknownDefault) return unknownDefault
      if (one !== undefined) parts[name] = one
    }
    return parts
  }
  if (value === null || typeof value === 'boolean') return value
  if (Array.isArray(value)) return value.length === 0 ? [] : unknownDefault
  if (typeof value === 'object' || 'oneOf' in option) return unknownDefault
  // A default is trusted to be within its own bounds, which the tests of all plugins' options see to.
  if (option.type === 'duration') return parseDuration(value) ?? unknownDefault
  if (option.type === 'bytes') return parseBytes(value) ?? unknownDefault
  return value
}

// By schema, and by the names of the options that are looked at.
const validators = new WeakMap<OptionsSchema, Map<string, ValidateFunction>>()
let ajv: AjvInstance | undefined

function compiled(schema: OptionsSchema, names: readonly string[]): ValidateFunction {
  let known = validators.get(schema)
  if (known === undefined) validators.set(schema, (known = new Map()))
  const key = names.join(' ')
  let validate = known.get(key)
  if (validate === undefined) {
    ajv ??= createAjv()
    validate = ajv.compile(objectSchema(Object.fromEntries(names.map(name => [name, schema[name]!]))))
    known.set(key, validate)
  }
  return validate
}

// ajv takes some 40 ms to load: `--help` and a library user who never starts a broker need not wait for it. It is loaded
// by `require` because a factory checks its options within `apply`, which is synchronous.
function createAjv(): AjvInstance {
  const { Ajv } = createRequire(import.meta.url)('ajv') as typeof import('ajv')
  const instance = new Ajv({ allErrors: true, useDefaults: true, strict: false, meta: false, validateSchema: false })
  for (const [keyword, parse] of [
    ['duration', parseDuration],
    ['bytes', parseBytes],
  ] as const) {
    instance.addKeyword({
      keyword,
      modifying: true,
      errors: false,
      compile: (bounds: { minimum: number; maximum: number; nullable: boolean }) => (value, context) => {
        if (value === null && bounds.nullable) return true
        const amount = parse(value)
        if (amount === undefined || amount < bounds.minimum || amount > bounds.maximum) return false
        if (context !== undefined) context.parentData[context.parentDataProperty] = amount
        return true
      },
    })
  }
  return instance
}

function objectSchema(schema: OptionsSchema): Record<string, unknown> {
  const properties: Record<string, unknown> = {}
  const required: string[] = []
  for (const [name, option] of Object.entries(schema)) {
    properties[name] = jsonSchema(option)
    if (option.required === true) required.push(name)
  }
  return { type: 'object', properties, required, additionalProperties: false }
}

function jsonSchema(option: OptionSchema): Record<string, unknown> {
  const nullable = option.nullable === true || option.default === null
  const schema = plainJsonSchema(option, nullable)
  if (option.default !== undefined) schema.default = option.default
  // Within an object that nobody set, the parts' own defaults must still come.
  else if ('properties' in option && option.required !== true) schema.default = {}
  return schema
}

function plainJsonSchema(option: OptionSchema, nullable: boolean): Record<string, unknown> {
  if ('oneOf' in option) return { anyOf: [...option.oneOf.map(jsonSchema), ...(nullable ? [{ type: 'null' }] : [])] }
  switch (option.type) {
    case 'any':
      return {}
    case 'duration':
      return {
        duration: { minimum: parseDuration(option.minimum ?? 0), maximum: parseDuration(option.maximum ?? durationMsMax), nullable },
      }
    case 'bytes':
      return {
        bytes: { minimum: parseBytes(option.minimum ?? 0), maximum: parseBytes(option.maximum ?? Number.MAX_SAFE_INTEGER), nullable },
      }
    case 'array':
    case 'list': {
      const { items, minItems, maxItems } = option
      return { type: typed('array', nullable), items: jsonSchema(items), ...defined({ minItems, maxItems }) }
    }
    case 'object':
      if ('properties' in option) return { ...objectSchema(option.properties), type: typed('object', nullable) }
      return { type: typed('object', nullable), additionalProperties: jsonSchema(option.values) }
    case 'string': {
      const { minLength, maxLength, pattern } = option
      return { type: typed('string', nullable), ...choices(option.enum, nullable), ...defined({ minLength, maxLength, pattern }) }
    }
    case 'integer':
    case 'number': {
      const { minimum, maximum } = option
      return { type: typed(option.type, nullable), ...choices(option.enum, nullable), ...defined({ minimum, maximum }) }
    }
    case 'boolean':
      return { type: typed('boolean', nullable) }
  }
}

const typed = (type: string, nullable: boolean) => (nullable ? [type, 'null'] : type)

function choices(values: readonly unknown[] | undefined, nullable: boolean): { enum?: unknown[] } {
  if (values === undefined) return {}
  return { enum: nullable ? [...values, null] : [...values] }
}

function defined(keywords: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(keywords).filter(([, value]) => value !== undefined))
}

// ajv finds the places; the words come from our own schema, so that there is one message for each place however many
// keywords failed there.
function translate(errors: readonly ErrorObject[], schema: OptionsSchema, options: object, at: string): Problem[] {
  const problems = new Map<string, Problem>()
  const root: OptionSchema = { type: 'object', properties: schema }
  const say = (keys: readonly string[], text: string, missing = false) => {
    const path = pathText(at, keys, options)
    problems.set(`${path} ${text}`, { path, text, missing })
  }
  for (const error of errors) {
    const keys = error.instancePath
      .split('/')
      .slice(1)
      .map(key => key.replaceAll('~1', '/').replaceAll('~0', '~'))
    const value = valueAt(options, keys)
    const option = optionAt(root, keys, options)
    if (option === undefined) continue
    if (error.keyword === 'additionalProperties' || error.keyword === 'required') {
      const form = formFor(option, value)
      if (form === undefined || !('properties' in form)) continue
      if (error.keyword === 'required') {
        const missing = String(error.params.missingProperty)
        const wanted = form.properties[missing]
        if (wanted !== undefined) say([...keys, missing], `required; it is ${describeOption(wanted)}`, true)
      } else {
        const unknown = String(error.params.additionalProperty)
        say([...keys, unknown], unknownName(unknown, Object.keys(form.properties)))
      }
    } else if (!('oneOf' in option && (isRecord(value) || Array.isArray(value)) && hasDeeper(errors, error.instancePath))) {
      say(keys, `must be ${describeOption(option)}, got ${showGiven(value, option, keys.at(-1))}`)
    }
  }
  return [...problems.values()]
}

// An alternative of the right shape, an object or a list, failed further down: that says more than "none of these fits".
function hasDeeper(errors: readonly ErrorObject[], instancePath: string): boolean {
  return errors.some(
    error =>
      error.instancePath.startsWith(`${instancePath}/`) ||
      (error.instancePath === instancePath && (error.keyword === 'additionalProperties' || error.keyword === 'required')),
  )
}

function valueAt(value: unknown, keys: readonly string[]): unknown {
  for (const key of keys) value = (value as Record<string, unknown> | undefined)?.[key]
  return value
}

function pathText(at: string, keys: readonly string[], options: unknown): string {
  let path = at
  for (const key of keys) {
    path = Array.isArray(options) ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`
    options = (options as Record<string, unknown> | undefined)?.[key]
  }
  return path
}
