type Write = {
  (message: string): void
  (fields: object, message: string): void
}

/** A logger in pino's form. Test `isLevelEnabled` where the arguments would have to be built. */
export interface Log {
  trace: Write
  debug: Write
  info: Write
  warn: Write
  error: Write
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
