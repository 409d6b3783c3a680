/** What a command of a plugin's, such as `passwd`, needs of the world around it. */
export interface CommandIo {
  /** The current folder. */
  readonly folder: string
  /** Writes a line to standard output. */
  out(line: string): void
}

/** A command: takes the arguments behind its name, resolves to the exit code. */
export type Command = (args: readonly string[], io: CommandIo) => Promise<number>

declare module '../../core/error-codes.js' {
  interface ErrorCodes {
    /** The command line has a command or an option that there is not. */
    ERR_ARGUMENTS: true
  }
}
