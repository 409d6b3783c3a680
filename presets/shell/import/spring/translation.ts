import { showGiven } from '../../../../plugins/kit/options/describe.ts'
import { Code, type Untranslated } from '../imported.ts'
import { canonical, type Property } from './properties.ts'
import { type Conversion, readValue, type Value } from './value.ts'

/** The way from a Spring program's options to a config: what was taken, what it has become, and what is left. */
export class Translation {
  readonly config: Record<string, unknown> = {}
  readonly comments: Record<string, string> = {}
  readonly notes: string[] = []
  readonly untranslated: Untranslated[] = []
  readonly #properties: ReadonlyMap<string, Property>
  readonly #mainFile: string
  readonly #taken = new Set<string>()

  constructor(properties: ReadonlyMap<string, Property>, mainFile: string) {
    this.#properties = properties
    this.#mainFile = mainFile
  }

  /** The option of this name, which counts as dealt with from now on. */
  take(name: string): Property | undefined {
    const property = this.#properties.get(canonical(name))
    if (property !== undefined) this.#taken.add(canonical(name))
    return property
  }

  /** The value of an option, or the first of several that is there; what cannot be worked out is left, with the reason. */
  value(...names: string[]): Value | undefined {
    for (const name of names) {
      const property = this.take(name)
      if (property === undefined || property.value === null) continue
      const value = this.#attempt(property, () => readValue(property.value, this.lookup))
      if (value !== undefined) return value
    }
    return undefined
  }

  readonly lookup = (name: string): unknown => this.#properties.get(canonical(name))?.value

  /** Converts an option, or the first of several that is there, without a place in the config. */
  converted(convert: Conversion, ...names: string[]): unknown {
    const property = this.#first(names)
    if (property === undefined) return undefined
    return this.#attempt(property, () => convert(readValue(property.value, this.lookup)))
  }

  /** Puts an option to its place, `sysTopic.interval`, where it is there. */
  move(to: string, convert: Conversion, ...names: string[]): void {
    const property = this.#first(names)
    if (property === undefined) return
    const converted = this.#attempt(property, () => convert(readValue(property.value, this.lookup)))
    if (converted !== undefined) this.put(to, converted, property)
  }

  /** The same for a list, which may be a text with commas too. */
  moveList(to: string, ...names: string[]): void {
    const property = this.#first(names)
    if (property === undefined) return
    const items = this.#attempt(property, () => {
      if (Array.isArray(property.value)) return property.value.map(item => this.#textOf(item))
      const value = readValue(property.value, this.lookup)
      const whole = value.literal
      return whole === undefined ? new Code(`(${value.expression}).split(',')`) : whole.split(',').map(item => item.trim())
    })
    if (items !== undefined) this.put(to, items, property)
  }

  /** Sets an option of the config; `from` is named in the comment beside it, or a sentence of its own. */
  put(to: string, value: unknown, from?: Property | string): void {
    const keys = to.split('.')
    const last = keys.pop()!
    let into = this.config
    for (const key of keys) into = (into[key] ??= {}) as Record<string, unknown>
    into[last] = value
    if (from !== undefined) this.comments[to] = typeof from === 'string' ? from : `${from.name} (${this.#placeOf(from)})`
  }

  /** Says of an option that it is not translated. */
  leave(name: string, reason: string): void {
    const property = this.take(name)
    if (property !== undefined) this.#leave(property, reason)
  }

  /** Says of all options that nobody has taken why they are not translated. */
  leaveRest(reasonOf: (name: string) => string): void {
    for (const [name, property] of this.#properties) if (!this.#taken.has(name)) this.#leave(property, reasonOf(name))
    this.untranslated.sort((a, b) => (a.file ?? '').localeCompare(b.file ?? '') || a.line - b.line)
  }

  #first(names: readonly string[]): Property | undefined {
    return names.map(name => this.take(name)).find(property => property !== undefined && property.value !== null)
  }

  #textOf(item: unknown): string | Code {
    const value = readValue(item, this.lookup)
    return value.literal ?? new Code(value.expression)
  }

  #attempt<T>(property: Property, work: () => T): T | undefined {
    try {
      return work()
    } catch (error) {
      this.#leave(property, (error as Error).message)
      return undefined
    }
  }

  #leave(property: Property, reason: string): void {
    const { name, value, file, line } = property
    const last = canonical(name.slice(name.lastIndexOf('.') + 1))
    // Kafka's login, `sasl.jaas.config`, has the password within its text.
    const shown = name.includes('jaas') ? '***' : showGiven(value, undefined, last)
    this.untranslated.push({ file: file === this.#mainFile ? undefined : file, line, text: `${name}: ${shown}`, reason })
  }

  #placeOf({ file, line }: Property): string {
    if (line === 0) return file
    return file === this.#mainFile ? `line ${line}` : `${file}:${line}`
  }
}
