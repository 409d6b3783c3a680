import { cutText } from './cut-text.ts'

// C0 and C1 controls, line separators, and marks that turn the direction of what follows: in a terminal any of these writes something else than it says.
const hidden = /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g
const nestedMax = 4

/** A text that a client may have made up, for people: cut as `cutText` does, at most 256 characters and how many there are, with controls as `\u009b`. */
export function shownText(text: string, max?: number): string {
  return cutText(text, max).replace(hidden, letter => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** The fields of a line with each text in them as `shownText` has it. */
export function shownFields(fields: object, depth = 0): object {
  const shown: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(fields)) shown[name] = shownValue(value, depth)
  return shown
}

/** What is given to a method of a `Log`, with texts as `shownText` has them: for whoever writes a log. */
export function shownLine(line: readonly unknown[]): unknown[] {
  return line.map(part => (typeof part === 'string' ? shownText(part, messageMax) : isPlain(part) ? shownFields(part) : part))
}

// What a line says may name several things.
const messageMax = 4096

function isPlain(value: unknown): value is object {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
}

function shownValue(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return shownText(value)
  if (Array.isArray(value)) return depth < nestedMax ? value.map(one => shownValue(one, depth + 1)) : value
  return isPlain(value) && depth < nestedMax ? shownFields(value, depth + 1) : value
}
