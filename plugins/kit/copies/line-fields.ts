import { OperatorError } from '../../../core/errors.ts'

// A text in a packet has two bytes for its length.
const textBytesMax = 0xffff

/** What is wrong with a line of an export; whoever reads the lines says which it is. */
export function wrongLine(text: string): OperatorError {
  return new OperatorError('ERR_COPY_LINE', text)
}

/** One JSON object of a line: each of its fields is asked for by what it must be, and none may be left over. */
export class LineFields {
  readonly #fields: Readonly<Record<string, unknown>>
  readonly #path: string
  readonly #seen: Set<string>

  private constructor(value: unknown, path: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw wrongLine(`${path === '' ? 'it' : path} is no JSON object`)
    this.#fields = value as Record<string, unknown>
    this.#path = path
    this.#seen = new Set()
  }

  /** Of a whole line. */
  static parse(text: string): LineFields {
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch {
      throw wrongLine('it is no JSON; an export has one JSON object a line')
    }
    return new LineFields(value, '')
  }

  /** The one name that the line has, of those that it may have. */
  only<const N extends string>(names: readonly N[]): N {
    const [name, ...more] = Object.keys(this.#fields)
    if (more.length > 0 || !names.includes(name as N)) throw wrongLine(`it has one of ${names.join(', ')}, and nothing beside it`)
    return name as N
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#fields, name)
  }

  isNull(name: string): boolean {
    return this.any(name) === null
  }

  any(name: string): unknown {
    this.#seen.add(name)
    if (!this.has(name)) throw wrongLine(`${this.#named(name)} is missing`)
    return this.#fields[name]
  }

  inner(name: string): LineFields {
    return new LineFields(this.any(name), this.#named(name))
  }

  text(name: string): string {
    const value = this.any(name)
    if (typeof value !== 'string') throw this.#not(name, 'a text')
    if (Buffer.byteLength(value) > textBytesMax) throw wrongLine(`${this.#named(name)}: at most ${textBytesMax} bytes`)
    return value
  }

  optionalText(name: string): string | null {
    return this.has(name) && typeof this.any(name) === 'string' ? this.text(name) : null
  }

  /** A name that somebody was admitted by: it may have any length. */
  textOrNull(name: string): string | null {
    const value = this.any(name)
    if (value !== null && typeof value !== 'string') throw this.#not(name, 'a text or null')
    return value
  }

  flag(name: string): boolean {
    const value = this.any(name)
    if (typeof value !== 'boolean') throw this.#not(name, 'true or false')
    return value
  }

  integer(name: string, minimum: number, maximum = Number.MAX_SAFE_INTEGER): number {
    const value = this.any(name)
    if (!isInteger(value, minimum, maximum)) throw this.#not(name, `a whole number from ${minimum} to ${maximum}`)
    return value
  }

  integers(name: string, minimum: number, maximum: number): number[] {
    const value = this.any(name)
    if (!Array.isArray(value) || !value.every(one => isInteger(one, minimum, maximum)))
      throw this.#not(name, `a list of whole numbers from ${minimum} to ${maximum}`)
    return value as number[]
  }

  numberOrNull(name: string, minimum: number): number | null {
    const value = this.any(name)
    if (value !== null && !(typeof value === 'number' && value >= minimum)) throw this.#not(name, `a number from ${minimum} on, or null`)
    return value
  }

  oneOf<const T extends string>(name: string, texts: readonly T[]): T {
    const value = this.any(name)
    if (!texts.includes(value as T)) throw this.#not(name, `one of ${texts.join(', ')}`)
    return value as T
  }

  pairs(name: string): [string, string][] {
    const value = this.any(name)
    const isText = (one: unknown): boolean => typeof one === 'string' && Buffer.byteLength(one) <= textBytesMax
    if (!Array.isArray(value) || !value.every(pair => Array.isArray(pair) && pair.length === 2 && pair.every(isText)))
      throw this.#not(name, 'a list of pairs of texts')
    return value as [string, string][]
  }

  /** Base64. */
  bytes(name: string): Buffer {
    const value = this.any(name)
    if (typeof value !== 'string') throw this.#not(name, 'bytes in base64')
    const bytes = Buffer.from(value, 'base64')
    // Node reads what it can, and leaves out the rest.
    if (bytes.toString('base64') !== value) throw this.#not(name, 'bytes in base64')
    return bytes
  }

  /** Nothing is left over: what this version does not know it would lose. */
  done(): void {
    const unknown = Object.keys(this.#fields).find(name => !this.#seen.has(name))
    if (unknown !== undefined) throw wrongLine(`${this.#named(unknown)}: nothing of that name is known here`)
  }

  #named(name: string): string {
    return this.#path === '' ? name : `${this.#path}.${name}`
  }

  #not(name: string, what: string): OperatorError {
    return wrongLine(`${this.#named(name)} is not ${what}`)
  }
}

function isInteger(value: unknown, minimum: number, maximum: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= minimum && (value as number) <= maximum
}

declare module '../../../core/error-codes.js' {
  interface ErrorCodes {
    /** A line of an export is damaged, or is not one. */
    ERR_COPY_LINE: true
  }
}
