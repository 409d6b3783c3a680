import type { OptionSchema } from '../../../core/options/options.ts'
import { bytesForms, durationForms, formatBytes, formatDuration } from './quantity.ts'

/** What an option takes, in words: `an integer from 0 to 65535`. */
export function describeOption(option: OptionSchema): string {
  const text = describeType(option)
  return option.nullable === true || option.default === null ? `${text}, or null` : text
}

/** The option at a path within another, by the shape of the value where there are several forms. */
export function optionAt(option: OptionSchema | undefined, keys: readonly string[], value: unknown): OptionSchema | undefined {
  for (const key of keys) {
    option = formFor(option, value)
    if (option === undefined) return undefined
    if ('properties' in option) option = Object.hasOwn(option.properties, key) ? option.properties[key] : undefined
    else if ('values' in option) option = option.values
    else if ('items' in option) option = option.items
    else return undefined
    value = (value as Record<string, unknown> | undefined)?.[key]
  }
  return option
}

/** Of several forms the one that an object or a list must have been meant for. */
export function formFor(option: OptionSchema | undefined, value: unknown): OptionSchema | undefined {
  if (option === undefined || !('oneOf' in option)) return option
  return option.oneOf.find(form => {
    if ('properties' in form || 'values' in form) return typeof value === 'object' && value !== null && !Array.isArray(value)
    return 'items' in form && Array.isArray(value)
  })
}

/** A value as a message shows it: short, and not at all where it is a secret. */
export function showValue(value: unknown, name = '', secret = false): string {
  if (value === undefined) return 'nothing'
  if (value !== null && !isEmpty(value) && (secret || isSecretName(name))) return '***'
  if (typeof value === 'function') return 'a function'
  let text: string | undefined
  try {
    text = JSON.stringify(value, (key, part: unknown) =>
      typeof part === 'string'
        ? maskText(part, key === '' ? name : key)
        : part !== null && !isEmpty(part) && isSecretName(key)
          ? '***'
          : part,
    )
  } catch {
    // A circular object has no JSON.
  }
  text ??= String(value)
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}

/** The same of a value that was given for an option. Where anything in the option is a secret, of a list or an object only that it is one: its parts may stand in the wrong place. */
export function showGiven(value: unknown, option: OptionSchema | undefined, name = ''): string {
  return typeof value === 'object' && value !== null && option !== undefined && holdsSecret(option)
    ? showShape(value)
    : showValue(value, name, option?.secret)
}

/** A value of which nobody knows what it was meant as: of a list or an object only that it is one, for there may be a password in it. */
export function showShape(value: unknown): string {
  if (typeof value !== 'object' || value === null || isEmpty(value)) return showValue(value)
  return Array.isArray(value) ? 'a list' : 'an object'
}

function holdsSecret(option: OptionSchema): boolean {
  if (option.secret === true) return true
  if ('oneOf' in option) return option.oneOf.some(holdsSecret)
  if ('properties' in option) return Object.entries(option.properties).some(([name, part]) => isSecretName(name) || holdsSecret(part))
  if ('values' in option) return holdsSecret(option.values)
  return 'items' in option && holdsSecret(option.items)
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0
}

/**
 * A text with what nobody should read over a shoulder taken out: passwords by the option's name, and those within addresses. A password may hold what ends it in a
 * well-formed URL, `/` or `@`, so everything goes from the scheme to the last `@`; where there is no scheme everything before it, if it looks like a user and a
 * password (`user:password@host`), or if the option is a URL's.
 */
export function maskText(text: string, name: string): string {
  if (isSecretName(name)) return '***'
  const masked = text.replace(/^([a-z][a-z0-9+.-]*:\/\/).*@/is, '$1***@')
  if (masked !== text) return masked
  return text.replace(/ur[il]$/i.test(name) ? /^.*@/s : /^[^\s@]*:.*@/s, '***@')
}

/** Whether what an option of this name says is not to be shown: `password`, `keyStorePassword`, `token`. */
export function isSecretName(name: string): boolean {
  return /passw|secret|token|passphrase|privatekey|credential/i.test(name)
}

function describeType(option: OptionSchema): string {
  if ('oneOf' in option) return option.oneOf.map(describeType).join(' or ')
  switch (option.type) {
    case 'integer':
    case 'number':
      if (option.enum !== undefined) return oneOf(option.enum)
      return withRange(option.type === 'integer' ? 'an integer' : 'a number', option.minimum, option.maximum, String)
    case 'duration':
      return withRange(`a duration: ${durationForms}`, option.minimum, option.maximum, bound => show(bound, formatDuration))
    case 'bytes':
      return withRange(`a size: ${bytesForms}`, option.minimum, option.maximum, bound => show(bound, formatBytes))
    case 'string':
      if (option.enum !== undefined) return oneOf(option.enum)
      if (option.pattern !== undefined) return `a string that matches ${option.pattern}`
      return (option.minLength ?? 0) > 0 ? 'a text that is not empty' : 'a string'
    case 'boolean':
      return 'true or false'
    case 'array':
    case 'list':
      return `a list, each ${describeType(option.items)}`
    case 'object':
      return 'properties' in option ? `an object { ${Object.keys(option.properties).join(', ')} }` : 'an object'
    case 'any':
      return 'anything'
  }
}

function oneOf(values: readonly unknown[]): string {
  const shown = values.map(value => (typeof value === 'string' ? `'${value}'` : String(value)))
  return shown.length === 1 ? shown[0]! : `${shown.slice(0, -1).join(', ')} or ${shown.at(-1)}`
}

function withRange<T>(text: string, minimum: T | undefined, maximum: T | undefined, format: (bound: T) => string): string {
  if (minimum !== undefined && maximum !== undefined) return `${text} from ${format(minimum)} to ${format(maximum)}`
  if (minimum !== undefined) return `${text}, at least ${format(minimum)}`
  return maximum === undefined ? text : `${text}, at most ${format(maximum)}`
}

const show = (bound: number | string, format: (amount: number) => string) => (typeof bound === 'number' ? format(bound) : bound)
