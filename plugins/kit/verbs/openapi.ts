import type { OptionSchema, OptionsSchema } from '../../../core/options/options.ts'
import type { openapiVerb } from './declarations.ts'
import type { VerbWork } from './define-verb.ts'
import { rowOf, type VerbRow } from './listed.ts'

/** What verbs answer: JSON Schema as text, by the name of the verb, and of the types that these share, by theirs (`#/components/schemas/NAME`). */
export interface AnswerSchemas {
  readonly answers: Readonly<Record<string, string>>
  readonly schemas: Readonly<Record<string, string>>
}

const nothingKnown: AnswerSchemas = { answers: {}, schemas: {} }

/** The routes of this broker as OpenAPI has them, those of plugins too. `known`: what verbs answer, as far as that was declared. */
export function openapiWith(known: AnswerSchemas): VerbWork<typeof openapiVerb.takes> {
  return { run: broker => openapiOf([...broker.verbs].map(rowOf), broker.version, known) }
}

const json = 'application/json'
const lines = 'application/x-ndjson'

/** An OpenAPI 3.1 document of verbs: each is a route below `/v1/`. */
export function openapiOf(verbs: readonly VerbRow[], version: string, known = nothingKnown): object {
  return {
    openapi: '3.1.0',
    info: {
      title: 'mqttx-broker',
      version,
      description:
        'What a running broker can be asked and told: the verbs of the command line, over its Unix socket and, where the config says so, over HTTP. Whatever changes something is a POST with JSON.',
    },
    servers: [{ url: 'http://127.0.0.1:9465', description: 'admin.http, at the port that the config says' }],
    security: [{ token: [] }],
    paths: Object.fromEntries(
      verbs.map(verb => [`/v1/${verb.name.replaceAll(' ', '/')}`, routeOf(verb, parsed(known.answers[verb.name]))]),
    ),
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'NAME.SECRET, as npx mqttx-broker token prints it' } },
      schemas: {
        ...Object.fromEntries(Object.entries(known.schemas).map(([name, text]) => [name, parsed(text)])),
        Error: {
          type: 'object',
          required: ['error'],
          properties: {
            error: {
              type: 'object',
              required: ['code', 'problems'],
              properties: {
                code: { type: 'string', description: 'One of docs/troubleshooting.md.' },
                problems: { type: 'array', items: { type: 'string' }, description: 'All that is wrong, each with its cure.' },
              },
            },
          },
        },
      },
    },
  }
}

// Of a verb of a plugin's own nobody knows more.
function parsed(schema: string | undefined): object {
  return schema === undefined ? { type: 'object' } : (JSON.parse(schema) as object)
}

function routeOf({ name, help, example, role, changes, takes, takesLines, streams }: VerbRow, schema: object): object {
  const operation = {
    operationId: name.replaceAll(/[ -](\w)/g, (_all, letter: string) => letter.toUpperCase()),
    summary: help,
    description: `Needs the role \`${role}\`. On the command line: \`mqttx-broker ${example}\``,
    responses: {
      200: streams
        ? { description: 'The answer, a line of JSON for each piece.', content: { [lines]: { schema } } }
        : { description: 'The answer.', content: { [json]: { schema } } },
      ...Object.fromEntries(
        [
          [400, 'An argument is wrong.'],
          [401, 'No token, or none that counts.'],
          [403, `The role is not enough, or a plugin does not allow it.`],
          [429, 'Wrong tokens came too fast.'],
        ].map(([status, description]) => [
          status,
          { description, content: { [json]: { schema: { $ref: '#/components/schemas/Error' } } } },
        ]),
      ),
    },
  }
  const parameters = Object.entries(takes).map(parameterOf)
  if (!changes) return { get: { ...operation, parameters } }
  if (takesLines)
    return { post: { ...operation, parameters, requestBody: { required: true, content: { [lines]: { schema: { type: 'string' } } } } } }
  const content = { [json]: { schema: objectOf(takes) } }
  return { post: { ...operation, requestBody: { required: Object.values(takes).some(({ required }) => required === true), content } } }
}

function parameterOf([name, option]: readonly [string, OptionSchema]): object {
  return { name, in: 'query', ...(option.required === true ? { required: true } : {}), schema: schemaOf(option) }
}

function objectOf(takes: OptionsSchema): object {
  const required = Object.keys(takes).filter(name => takes[name]!.required === true)
  return {
    type: 'object',
    properties: Object.fromEntries(Object.entries(takes).map(([name, option]) => [name, schemaOf(option)])),
    ...(required.length > 0 ? { required } : {}),
    additionalProperties: false,
  }
}

/** An option as JSON Schema has it; what nobody need say may also be null. */
function schemaOf(option: OptionSchema): object {
  const { default: standard, nullable } = option
  const schema = plainSchemaOf(option)
  const mayBeNull = nullable === true || standard === null
  return {
    ...schema,
    ...(mayBeNull && 'type' in schema ? { type: [schema.type, 'null'].flat() } : {}),
    ...(standard === undefined ? {} : { default: standard }),
  }
}

function plainSchemaOf(option: OptionSchema): object {
  if ('oneOf' in option) return { anyOf: option.oneOf.map(schemaOf) }
  switch (option.type) {
    case 'any':
      return {}
    case 'duration':
      return { type: ['string', 'number'], description: 'A time: `10s`, `5m`, `2h`, or milliseconds.' }
    case 'bytes':
      return { type: ['string', 'number'], description: 'A size: `64KiB`, `2MiB`, or bytes.' }
    case 'array':
    case 'list':
      return { type: 'array', items: schemaOf(option.items) }
    case 'object':
      return 'properties' in option ? objectOf(option.properties) : { type: 'object', additionalProperties: schemaOf(option.values) }
    default: {
      const { enum: choices, minimum, maximum, minLength, maxLength, pattern } = { ...option } as Readonly<Record<string, unknown>>
      const bounds = { enum: choices, minimum, maximum, minLength, maxLength, pattern }
      return { type: option.type, ...Object.fromEntries(Object.entries(bounds).filter(([, bound]) => bound !== undefined)) }
    }
  }
}
