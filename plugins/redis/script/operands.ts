import type { BatchWriter } from '../batch-writer.ts'

type Write<V> = (out: BatchWriter, value: V) => void

/** The types of operands: the struct format by which Lua reads one, and how TypeScript writes it. */
const types = {
  /** A session by its client id: the number of the first of its three keys. */
  session: operandType('I4', (out, clientId: string) => out.session(clientId)),
  /** As `session`; null is written as 0. */
  maybeSession: operandType('I4', (out, clientId: string | null) => (clientId === null ? out.fourBytes(0) : out.session(clientId))),
  /** The number of any other key. */
  key: operandType('I4', (out, name: string) => out.key(name)),
  /** As `key`; null is written as 0. */
  maybeKey: operandType('I4', (out, name: string | null) => (name === null ? out.fourBytes(0) : out.key(name))),
  byte: operandType('B', (out, value: number) => out.byte(value)),
  twoBytes: operandType('I2', (out, value: number) => out.twoBytes(value)),
  fourBytes: operandType('I4', (out, value: number) => out.fourBytes(value)),
  double: operandType('d', (out, value: number) => out.double(value)),
  shortText: operandType('Bc0', (out, text: string) => out.shortText(text)),
  text: operandType('I2c0', (out, text: string) => out.text(text)),
  longText: operandType('I4c0', (out, text: string) => out.longText(text)),
  binary: operandType('I4c0', (out, bytes: Buffer) => out.binary(bytes)),
}

function operandType<V>(format: string, write: Write<V>): { readonly format: string; readonly write: Write<V> } {
  return { format, write }
}

type OperandType = keyof typeof types

/** Names and types of operands, in order. */
export type Shape = Readonly<Record<string, OperandType>>

/** The values of operands, by name. */
export type ValuesOf<S extends Shape> = { readonly [K in keyof S]: Parameters<(typeof types)[S[K]]['write']>[1] }

/** Operands that follow one another in a batch. TypeScript writes them by name, and Lua reads them into local variables of the same names. */
export class Operands<S extends Shape> {
  readonly #names: readonly (keyof S & string)[]
  readonly #writes: readonly Write<never>[]
  /** The Lua statements that declare the variables and read them at `at`, which they move on. */
  readonly read: string

  constructor(shape: S) {
    this.#names = Object.keys(shape)
    const own = Object.values(shape).map(type => types[type])
    this.#writes = own.map(({ write }) => write)
    const names = this.#names.join(', ')
    const format = own.map(type => type.format).join('')
    this.read = own.length === 0 ? '' : `\nlocal ${names}\n${names}, at = unpack('>${format}', ops, at)`
  }

  write(out: BatchWriter, values: ValuesOf<S>): void {
    for (let i = 0; i < this.#names.length; i++) this.#writes[i]!(out, values[this.#names[i]!] as never)
  }
}
