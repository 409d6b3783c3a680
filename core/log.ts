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

/** A logger that looks for the real one at each line, because plugins hold it before there is one; silent until then. */
export function lateLog(find: () => Log | undefined): Log {
  const write =
    (level: 'trace' | 'debug' | 'info' | 'warn' | 'error'): Write =>
    (...line: [string] | [object, string]) =>
      find()?.[level](...(line as [string]))
  return {
    trace: write('trace'),
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    isLevelEnabled: level => find()?.isLevelEnabled(level) === true,
  }
}

/** Logs nowhere. */
export const silentLog: Log = lateLog(() => undefined)

declare module './service-map.js' {
  interface ServiceMap {
    /** Where log lines go. */
    log: Log
  }
}
