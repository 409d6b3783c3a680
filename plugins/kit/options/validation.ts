import { createRequire } from 'node:module'
import type { Ajv as AjvInstance, ErrorObject, ValidateFunction } from 'ajv'
import { OperatorError } from '../../../core/errors.ts'
import type { OptionSchema, OptionsSchema } from '../../../core/options/options.ts'
import { describeOption, formFor, optionAt, showGiven, showShape } from './describe.ts'
import { nestingFault } from './nesting.ts'
import { clone, deepFreeze, isRecord } from './plain-data.ts'
import { onlyAjvKnows, plainOptions } from './plain-values.ts'
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
  const fault = nestingFault(given)
  if (fault !== null) return { options: {}, problems: [{ path: at, text: fault }] }
  const options = clone(given)
  const plain = plainOptions(schema, options)
  if (plain !== onlyAjvKnows) return { options: deepFreeze(plain), problems: [] }
  const problems = problemsByAjv(schema, options, at)
  return { options: deepFreeze(options), problems }
}

/** Completes the options in place, and returns what is wrong with them. @internal */
export function problemsByAjv(schema: OptionsSchema, options: object, at: string): Problem[] {
  const validate = compiled(schema)
  return validate(options) ? [] : translate(validate.errors ?? [], schema, options, at)
}

const validators = new WeakMap<OptionsSchema, ValidateFunction>()
let ajv: AjvInstance | undefined

function compiled(schema: OptionsSchema): ValidateFunction {
  let validate = validators.get(schema)
  if (validate === undefined) {
    ajv ??= createAjv()
    validate = ajv.compile(objectSchema(schema))
    validators.set(schema, validate)
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
