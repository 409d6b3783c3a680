/**
 * The options of a plugin, or the broker's own: one record, declared once. Types, defaults, checks and the table in
 * `docs/config.md` all come from it; the JSDoc above an option is its hover text and its row in that table.
 */
export interface OptionsSchema {
  readonly [name: string]: OptionSchema
}

/** How one option is declared. */
export type OptionSchema =
  | NumberOption
  | DurationOption
  | BytesOption
  | StringOption
  | BooleanOption
  | ArrayOption
  | ObjectOption
  | RecordOption
  | OneOfOption
  | AnyOption

interface Common<Default> {
  /** What the option is when nobody sets it. */
  readonly default?: Default | null
  /** There is no default and the plugin cannot do without. */
  readonly required?: boolean
  /** `null` is a value too: none, unlimited. */
  readonly nullable?: boolean
  /** A running broker takes a new value: the plugin's `reload` sees to it. */
  readonly live?: boolean
  /** Never printed: `check` and every error mask it. Names such as `password` are masked without it. */
  readonly secret?: boolean
}

export interface NumberOption extends Common<number> {
  /** `integer`: a whole number. */
  readonly type: 'integer' | 'number'
  /** The least that is taken; default: no limit. */
  readonly minimum?: number
  /** The most that is taken; default: no limit. */
  readonly maximum?: number
  /** The numbers that there are; default: any. */
  readonly enum?: readonly number[]
}

/** `'60s'`, `'500ms'`, `'1m'`, `'2h'`, `'1d'` or a number of milliseconds; the plugin gets milliseconds. */
export interface DurationOption extends Common<number | string> {
  /** The option is a time. */
  readonly type: 'duration'
  /** The shortest that is taken; default 0. */
  readonly minimum?: number | string
  /** 2147483647 ms, the longest that a timer can wait, where nothing is said. */
  readonly maximum?: number | string
}

/** `'2MiB'`, `'64KiB'`, `'10MB'` or a number of bytes; the plugin gets bytes. */
export interface BytesOption extends Common<number | string> {
  /** The option is a number of bytes. */
  readonly type: 'bytes'
  /** The least that is taken; default 0. */
  readonly minimum?: number | string
  /** The most that is taken; default: no limit. */
  readonly maximum?: number | string
}

export interface StringOption extends Common<string> {
  /** The option is a text. */
  readonly type: 'string'
  /** The texts that there are; default: any. */
  readonly enum?: readonly string[]
  /** Characters at least; default 0. */
  readonly minLength?: number
  /** Characters at most; default: no limit. */
  readonly maxLength?: number
  /** A regular expression that the text must match. */
  readonly pattern?: string
  /** The text is the path of a file with passwords or a key in it, relative to the config's folder: where every user of the machine may read that file, `check` and the start warn. Default: false. */
  readonly secretFile?: boolean
}

export interface BooleanOption extends Common<boolean> {
  /** The option is `true` or `false`. */
  readonly type: 'boolean'
}

export interface ArrayOption extends Common<readonly unknown[]> {
  /** A list, with a name of our own and that of JSON Schema. */
  readonly type: 'array' | 'list'
  /** How each element is declared. */
  readonly items: OptionSchema
  /** Elements at least; default 0. */
  readonly minItems?: number
  /** Elements at most; default: no limit. */
  readonly maxItems?: number
}

/** Options within an option; each has its own default, so the object itself needs none. */
export interface ObjectOption extends Common<object> {
  /** The option is an object. */
  readonly type: 'object'
  /** How each option in it is declared. */
  readonly properties: OptionsSchema
}

/** Names that the user chooses, all with the same kind of value. */
export interface RecordOption extends Common<object> {
  /** The option is an object. */
  readonly type: 'object'
  /** How each value is declared. */
  readonly values: OptionSchema
}

/** Several forms of one option; the first that fits wins. */
export interface OneOfOption extends Common<unknown> {
  /** The forms, in the order in which they are tried. */
  readonly oneOf: readonly OptionSchema[]
}

/** Anything at all, functions included: for what only a TypeScript or JavaScript config can say. */
export interface AnyOption extends Common<unknown> {
  /** The option takes any value. */
  readonly type: 'any'
}

/** The options as a plugin gets them: checked, defaults filled in, durations in milliseconds, frozen. */
export type OptionsOf<S extends OptionsSchema> = string extends keyof S
  ? Readonly<Record<string, unknown>>
  : Flat<Present<S, PresentKeys<S>> & Absent<S, Exclude<keyof S, PresentKeys<S>>>>

/** The options as a user writes them: whatever has a default may be left out. */
export type OptionsInput<S extends OptionsSchema> = string extends keyof S
  ? Record<string, unknown>
  : Flat<Needed<S, RequiredKeys<S>> & Optional<S, Exclude<keyof S, RequiredKeys<S>>>>

/** Keeps the literal types of a schema that is declared apart from its plugin, as those of the built-in plugins are. */
export function defineOptions<const S extends OptionsSchema>(schema: S): S {
  return schema
}

/** The names of the options that must be given. */
export type RequiredKeys<S> = { [K in keyof S]: S[K] extends { required: true } ? K : never }[keyof S]

type PresentKeys<S> = {
  [K in keyof S]: S[K] extends { required: true } | { default: unknown } | { properties: unknown } ? K : never
}[keyof S]

// An editor shows the text above an option where a mapped type goes over names that extend `keyof S`, and not where it picks them by itself.
type Present<S, N extends keyof S> = { readonly [K in N]: ValueOf<S[K]> }
type Absent<S, N extends keyof S> = { readonly [K in N]?: ValueOf<S[K]> }
type Needed<S, N extends keyof S> = { -readonly [K in N]: InputOf<S[K]> }
type Optional<S, N extends keyof S> = { -readonly [K in N]?: InputOf<S[K]> | undefined }

// What a conditional type comes to has no name, so an editor shows the options themselves and not how they were made.
type Flat<T> = T extends infer U ? { [K in keyof U]: U[K] } : never

type ValueOf<O> = O extends { nullable: true } | { default: null } ? PlainValueOf<O> | null : PlainValueOf<O>

type PlainValueOf<O> = O extends { enum: readonly (infer E)[] }
  ? E
  : O extends { oneOf: infer Forms extends readonly unknown[] }
    ? { [I in keyof Forms]: ValueOf<Forms[I]> }[number]
    : O extends { type: 'integer' | 'number' | 'duration' | 'bytes' }
      ? number
      : O extends { type: 'boolean' }
        ? boolean
        : O extends { type: 'string' }
          ? string
          : O extends { items: infer I }
            ? readonly ValueOf<I>[]
            : O extends { properties: infer P extends OptionsSchema }
              ? OptionsOf<P>
              : O extends { values: infer V }
                ? Readonly<Record<string, ValueOf<V>>>
                : unknown

type InputOf<O> = O extends { nullable: true } | { default: null } ? PlainInputOf<O> | null : PlainInputOf<O>

type PlainInputOf<O> = O extends { enum: readonly (infer E)[] }
  ? E
  : O extends { oneOf: infer Forms extends readonly unknown[] }
    ? { [I in keyof Forms]: InputOf<Forms[I]> }[number]
    : O extends { type: 'duration' | 'bytes' }
      ? number | string
      : O extends { type: 'integer' | 'number' }
        ? number
        : O extends { type: 'boolean' }
          ? boolean
          : O extends { type: 'string' }
            ? string
            : O extends { items: infer I }
              ? readonly InputOf<I>[]
              : O extends { properties: infer P extends OptionsSchema }
                ? OptionsInput<P>
                : O extends { values: infer V }
                  ? Record<string, InputOf<V>>
                  : unknown
