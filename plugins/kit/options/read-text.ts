import type { OptionSchema } from '../../../core/options/options.ts'

/** A text as the value that its option takes. What does not fit stays text, and the check says what is wrong with it. */
export function readText(option: OptionSchema, text: string): unknown {
  if (text === 'null' && (option.nullable === true || option.default === null)) return null
  if ('oneOf' in option) {
    for (const form of option.oneOf) {
      const value = readText(form, text)
      if (typeof value !== 'string') return value
    }
    return text
  }
  switch (option.type) {
    case 'integer':
    case 'number':
    case 'duration':
    case 'bytes':
      return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text
    case 'boolean':
      return text === 'true' ? true : text === 'false' ? false : text
    case 'array':
    case 'list':
    case 'object':
    case 'any':
      try {
        return JSON.parse(text) as unknown
      } catch {
        return text
      }
    case 'string':
      return text
  }
}
