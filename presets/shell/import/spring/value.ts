import { Code } from '../imported.ts'
import { quoted } from '../write-config.ts'

/** A variable of the environment, and what counts where it is not set. */
interface Variable {
  readonly variable: string
  readonly otherwise: Value | undefined
}

/** A value with its placeholders: texts, and variables of the environment between them. */
export class Value {
  readonly parts: readonly (string | Variable)[]

  constructor(...parts: (string | Variable | Value)[]) {
    this.parts = parts.flatMap(part => (part instanceof Value ? part.parts : [part])).filter(part => part !== '')
  }

  /** The text, where it depends on no variable. */
  get literal(): string | undefined {
    return this.parts.every(part => typeof part === 'string') ? this.parts.join('') : undefined
  }

  /** The text that comes of it with these variables. */
  textWith(env: Readonly<Record<string, string | undefined>>): string {
    return this.parts.map(part => (typeof part === 'string' ? part : (env[part.variable] ?? part.otherwise?.textWith(env) ?? ''))).join('')
  }

  /** The same with `change` done to what counts where variables are not set; `undefined` where that cannot be. */
  withDefaults(change: (text: string) => string | undefined): Value | undefined {
    const [only] = this.parts
    if (this.parts.length !== 1 || typeof only === 'string' || only === undefined) {
      const text = this.literal === undefined ? undefined : change(this.literal)
      return text === undefined ? undefined : new Value(text)
    }
    if (only.otherwise === undefined) return this
    const otherwise = only.otherwise.withDefaults(change)
    return otherwise === undefined ? undefined : new Value({ variable: only.variable, otherwise })
  }

  /** An expression in TypeScript whose value is the text. */
  get expression(): string {
    const { literal } = this
    if (literal !== undefined) return quoted(literal)
    const [only] = this.parts
    if (this.parts.length === 1) return variableOf(only as Variable)
    const inner = this.parts.map(part => (typeof part === 'string' ? part.replace(/[\\`]|\$\{/g, '\\$&') : `\${${variableOf(part)}}`))
    return `\`${inner.join('')}\``
  }
}

function variableOf({ variable, otherwise }: Variable): string {
  return `env.${variable} ?? ${otherwise === undefined ? `missing(${quoted(variable)})` : otherwise.expression}`
}

/** What a placeholder may name besides variables: the other properties. */
export type Lookup = (name: string) => unknown

/** Reads a value with its placeholders, `${NAME:default}`. What cannot be worked out is an `Error` with the reason. */
export function readValue(raw: unknown, lookup: Lookup, depth = 0): Value {
  const text = raw === null || raw === undefined ? '' : String(raw)
  if (depth > 20) throw new Error('its placeholders lead round in a circle')
  if (/^@[\w.-]+@$/.test(text)) throw new Error('Maven fills it in at the build; import the file from target/classes, or write the value')
  if (text.includes('#{')) throw new Error("Spring's expressions, #{…}, are not worked out; write the value")
  const parts: (string | Variable | Value)[] = []
  let rest = text
  for (;;) {
    const start = rest.indexOf('${')
    const end = start < 0 ? -1 : endOf(rest, start)
    if (end < 0) return new Value(...parts, rest)
    parts.push(rest.slice(0, start), placeholder(rest.slice(start + 2, end), lookup, depth))
    rest = rest.slice(end + 1)
  }
}

function placeholder(inner: string, lookup: Lookup, depth: number): Value {
  const colon = inner.indexOf(':')
  const name = colon < 0 ? inner : inner.slice(0, colon)
  if (/^random\./.test(name)) throw new Error(`\${${name}} is another one at each start; write a value`)
  const other = lookup(name)
  if (other !== undefined) return readValue(other, lookup, depth + 1)
  // As Spring finds variables: `mqttx.redis-host` is MQTTX_REDIS_HOST too.
  const variable = /^[A-Z_][A-Z0-9_]*$/.test(name) ? name : name.toUpperCase().replace(/[^A-Z0-9]+/g, '_')
  if (!/^[A-Z_]/.test(variable)) throw new Error(`\${${inner}} names no variable`)
  return new Value({ variable, otherwise: colon < 0 ? undefined : readValue(inner.slice(colon + 1), lookup, depth + 1) })
}

// The brace that closes the placeholder at `start`; placeholders may hold others.
function endOf(text: string, start: number): number {
  let open = 0
  for (let at = start; at < text.length; at++) {
    if (text.startsWith('${', at)) open += 1
    else if (text[at] === '}' && --open === 0) return at
  }
  return -1
}

/** Makes a value of an option of it; what is no such value is an `Error` with the reason. */
export type Conversion = (value: Value) => unknown

export const text: Conversion = value => value.literal ?? new Code(value.expression)

/** A text that is not said where it is empty, as Spring's own options have it. */
export const anyText: Conversion = value => {
  const { literal } = value
  if (literal !== undefined) return literal === '' ? undefined : literal
  return new Code(`(${value.expression}) || undefined`)
}

export const integer: Conversion = value => {
  const { literal } = value
  if (literal === undefined) return new Code(`Number(${value.expression})`)
  if (!/^-?\d+$/.test(literal.trim())) throw new Error('a whole number is expected')
  return Number(literal)
}

export const boolean: Conversion = value => {
  const { literal } = value
  if (literal === undefined) return new Code(`/^(true|on|yes|1)$/i.test(${value.expression})`)
  if (/^(true|on|yes|1)$/i.test(literal.trim())) return true
  if (/^(false|off|no|0)$/i.test(literal.trim())) return false
  throw new Error('true or false is expected')
}

export const integerOrText: Conversion = value => (/^(0|[1-9]\d{0,14})$/.test(value.literal ?? '') ? Number(value.literal) : text(value))

export const duration: Conversion = value => {
  const ours = value.withDefaults(ourDuration)
  if (ours === undefined) throw new Error('a time is expected, such as 60s')
  return text(ours)
}

// 60s, 500ms, 1000 (milliseconds), PT1M30S.
function ourDuration(given: string): string | undefined {
  const simple = /^\+?(\d+)(ns|us|ms|s|m|h|d)?$/i.exec(given.trim())
  if (simple !== null) {
    const [, amount, unit = 'ms'] = simple
    const divisor = { ns: 1e6, us: 1e3 }[unit.toLowerCase()]
    return divisor === undefined ? `${amount}${unit.toLowerCase()}` : `${Math.ceil(Number(amount) / divisor)}ms`
  }
  const iso = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/i.exec(given.trim())
  if (iso === null || given.trim().length < 3) return undefined
  const [days, hours, minutes, seconds] = iso.slice(1).map(part => Number(part ?? 0)) as [number, number, number, number]
  const ms = Math.round(((days * 24 + hours) * 60 + minutes) * 60_000 + seconds * 1000)
  return ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`
}

/** One of several names, in any case; `names` says what each is called here. */
export function choice(names: Readonly<Record<string, unknown>>): Conversion {
  return value => {
    const { literal } = value
    const meant = literal?.trim().toLowerCase()
    if (meant !== undefined && Object.hasOwn(names, meant)) return names[meant]
    const same = Object.entries(names).every(([theirs, ours]) => theirs === ours)
    if (literal !== undefined || !same)
      throw new Error(`one of ${Object.keys(names).join(', ')} is expected${literal === undefined ? ', not a variable' : ''}`)
    return new Code(`(${value.expression}) as ${Object.keys(names).map(quoted).join(' | ')}`)
  }
}
