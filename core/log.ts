type Write = {
  (message: string): void
  (fields: object, message: string): void
}

/** A logger in pino's form. Test `isLevelEnabled` where the arguments would have to be built. */
export interface Log {
  /** The lowest level: packets. */
  trace: Write
  /** For whoever looks for a fault. */
  debug: Write
  /** What an operator may want to know. */
  info: Write
  /** What is probably not meant. */
  warn: Write
  /** What has failed. */
  error: Write
  /** Whether lines of this level (`trace`, `debug`, `info`, `warn`, `error`) are written. */
  isLevelEnabled(level: string): boolean
}

const nothing: Write = () => {}

/** Logs nowhere: what core uses until a plugin owns `log`. */
export const silentLog: Log = {
  trace: nothing,
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  isLevelEnabled: () => false,
}

/** A logger that looks for the real one at each line, because plugins hold it before there is one. */
export class LateLog implements Log {
  readonly #log: () => Log

  constructor(log: () => Log) {
    this.#log = log
  }

  trace(...line: [string] | [object, string]): void {
    this.#log().trace(...(line as [string]))
  }

  debug(...line: [string] | [object, string]): void {
    this.#log().debug(...(line as [string]))
  }

  info(...line: [string] | [object, string]): void {
    this.#log().info(...(line as [string]))
  }

  warn(...line: [string] | [object, string]): void {
    this.#log().warn(...(line as [string]))
  }

  error(...line: [string] | [object, string]): void {
    this.#log().error(...(line as [string]))
  }

  isLevelEnabled(level: string): boolean {
    return this.#log().isLevelEnabled(level)
  }
}

declare module './service-map.js' {
  interface ServiceMap {
    /** Where log lines go. */
    log: Log
  }
}
