/**
 * The codes of all errors that this package throws or logs, by name: core's own here. A plugin adds a line for each of its own:
 * `declare module 'mqttx-broker' { interface ErrorCodes { ERR_MINE: true } }`. docs/troubleshooting.md has a cure for each.
 */
export interface ErrorCodes {
  /** An option is unknown, has a wrong value, or contradicts another; or the config file does not load. */
  ERR_CONFIG: true
  /** A plugin failed when it was applied, started or opened. */
  ERR_PLUGIN: true
  /** A plugin needs a service that nobody provides. */
  ERR_SERVICE_MISSING: true
  /** Two plugins provide the same service. */
  ERR_SERVICE_TWICE: true
  /** A client broke the protocol: `MqttError`. */
  ERR_MQTT_PROTOCOL: true
  /** A tap of a hook failed: `TapError`. */
  ERR_TAP: true
  /** Another node has the session now: `SessionLostError`. */
  ERR_SESSION_LOST: true
  /** The session belongs to another user: `SessionOwnedError`. */
  ERR_SESSION_OWNED: true
  /** The store cannot be reached: `StoreAwayError`. */
  ERR_STORE_AWAY: true
  /** The store has no room: `StoreFullError`. */
  ERR_STORE_FULL: true
  /** The store will never take this message: `MessageRefusedError`. */
  ERR_MESSAGE_REFUSED: true
}

/** The code of an error: stable over versions, for tests and users to match on. */
export type ErrorCode = keyof ErrorCodes
