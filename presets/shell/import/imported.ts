/** Reads the config of another broker: one for each kind of file. */
export interface Importer {
  /** What the file is called in messages: `application.yml of mqttx`. */
  readonly title: string
  /** Whether a file is of this kind, by its name (without folder) and its text. */
  recognises(name: string, text: string): boolean
  /** Translates the text. A text that cannot be read at all rejects with an `OperatorError` (`ERR_INIT`). */
  translate(text: string, source: ImportSource): Imported | Promise<Imported>
}

/** The file that is translated, and what stands around it. */
export interface ImportSource {
  /** The file's name, without its folder. */
  readonly name: string
  /** The folder that the file stands in. */
  readonly folder: string
  /** The environment of the process. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** The text of another file, relative to `folder`; `undefined` where there is none, or none that may be read. */
  read(path: string): Promise<string | undefined>
  /** The names in a folder, relative to `folder`, sorted; empty where there is no such folder. */
  list(path: string): Promise<string[]>
  /** How the new config names a file that this one names relative to `folder`, or by its whole path. */
  path(path: string): string
}

/** What a translation has come to. */
export interface Imported {
  /** The new config, section by section. A value may be a `Code`, also within lists. */
  readonly config: Readonly<Record<string, unknown>>
  /** What is said beside an option of `config`, by its path: `socket.port`. It becomes a comment above the option. */
  readonly comments?: Readonly<Record<string, string>>
  /** What whoever comes from there should know, a sentence each. */
  readonly notes: readonly string[]
  /** What the new config does not hold, in the order of the file. */
  readonly untranslated: readonly Untranslated[]
}

/** Something that was not translated. */
export interface Untranslated {
  /** The line in its file, from 1; 0 where it is not known. */
  readonly line: number
  /** The file, where it is another one than the one that was named. */
  readonly file?: string | undefined
  /** What stands there. A secret is not shown. */
  readonly text: string
  /** Why it was not translated, and what to do instead where there is something. */
  readonly reason: string
}

/**
 * A value that the new config works out when it is read: an expression in TypeScript, in which `env` is the environment and `missing('NAME')` an error which says that NAME
 * is not set.
 */
export class Code {
  readonly expression: string

  constructor(expression: string) {
    this.expression = expression
  }
}
