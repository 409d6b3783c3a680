import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import type { Ajv as AjvInstance, ErrorObject, ValidateFunction } from 'ajv'
import { OperatorError } from '../../core/errors.ts'
import type { OptionsOf } from '../../core/options/options.ts'
import { isReservedTopic } from '../../core/routing/topic.ts'
import { nestingFault } from '../kit/options/nesting.ts'
import { TopicTemplate } from '../kit/topic-template.ts'
import { ruleFilterFault } from '../kit/topics.ts'
import type { schemaManifest } from './manifest.ts'

export interface SchemaRule {
  readonly filter: string
  readonly onInvalid: 'refuse' | 'drop' | 'quarantine'
  readonly quarantine: TopicTemplate
  /** Why a payload does not fit; null where it does. */
  fault(value: unknown): string | null
}

type Given = OptionsOf<typeof schemaManifest.options>['rules'][number]

const require = createRequire(import.meta.url)

/** Reads the rules and compiles their schemas; everything that is wrong is said at once. `folder`: what file names are relative to. */
export function readRules(given: readonly Given[], folder: string): SchemaRule[] {
  const problems: string[] = []
  const compile = compiler()
  const rules: SchemaRule[] = []
  for (const [index, { filter, schema, onInvalid, quarantine }] of given.entries()) {
    const at = `schema.rules[${index}]`
    const wrongFilter = ruleFilterFault(filter)
    if (wrongFilter !== null) {
      problems.push(`${at}.filter: ${wrongFilter}`)
      continue
    }
    try {
      const template = TopicTemplate.parse(quarantine, filter)
      if (template.texts.some(text => /[+#\0]/.test(text)) || isReservedTopic(quarantine)) {
        problems.push(`${at}.quarantine: ${JSON.stringify(quarantine)} is no topic name that clients may publish to; choose another`)
      }
      const validate = compile(typeof schema === 'string' ? readSchema(resolve(folder, schema)) : schema)
      const fault = (value: unknown) => faultOf(validate, value)
      rules.push({ filter, onInvalid, quarantine: template, fault })
    } catch (error) {
      problems.push(`${at}: ${(error as Error).message}`)
    }
  }
  if (problems.length > 0) throw new OperatorError('ERR_CONFIG', problems)
  return rules
}

// A schema that refers to itself goes as deep as the payload does, and whoever publishes decides how deep that is.
function faultOf(validate: ValidateFunction, value: unknown): string | null {
  try {
    return validate(value) ? null : textOf(validate.errors?.[0])
  } catch (error) {
    if (error instanceof RangeError) return 'the payload is nested too deeply'
    throw error
  }
}

/** Compiles with the dialect that a schema names. A format says what a text is meant as; only its being a text is checked. */
function compiler(): (schema: unknown) => ValidateFunction {
  const made = new Map<string, AjvInstance>()
  return schema => {
    if (typeof schema !== 'boolean' && (typeof schema !== 'object' || schema === null || Array.isArray(schema))) {
      throw new Error('a JSON Schema is an object; see json-schema.org')
    }
    const nested = nestingFault(schema)
    if (nested !== null) throw new Error(`the JSON Schema ${nested}`)
    const dialect = /draft-0[67]/.test(String((schema as { $schema?: unknown }).$schema)) ? 'ajv' : 'ajv/dist/2020.js'
    let ajv = made.get(dialect)
    if (ajv === undefined) {
      const { default: Ajv } = require(dialect) as { default: typeof AjvInstance }
      ajv = new Ajv({ strict: false, validateFormats: false })
      made.set(dialect, ajv)
    }
    return ajv.compile(schema as object)
  }
}

function readSchema(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as unknown
  } catch (error) {
    throw new Error(`${path} cannot be read as JSON: ${(error as Error).message}; name a file with a JSON Schema`)
  }
}

function textOf(error: ErrorObject | undefined): string {
  if (error === undefined) return 'does not fit its schema'
  return `${error.instancePath === '' ? 'the payload' : error.instancePath} ${error.message ?? 'does not fit'}`
}
