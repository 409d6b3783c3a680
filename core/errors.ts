import type { ErrorCode } from './error-codes.ts'
import type { ReasonCode } from './reason.ts'

/**
 * The peer broke the protocol. Thrown by decoder and handlers, caught once, where packets are read: it answers and closes
 * that connection only.
 */
export class MqttError extends Error {
  override readonly name = 'MqttError'
  /** Stable, for tests and users: `ERR_MQTT_PROTOCOL`. */
  readonly code = 'ERR_MQTT_PROTOCOL' satisfies ErrorCode
  /** The reason code that an MQTT 5 client gets, in CONNACK or DISCONNECT. */
  readonly reasonCode: ReasonCode
  /** It is about something that the client asked for, and not about a packet that is out of place. */
  readonly ofRequest: boolean

  constructor(reasonCode: ReasonCode, message: string, ofRequest = true) {
    super(message)
    this.reasonCode = reasonCode
    this.ofRequest = ofRequest
  }
}

/** What the operator can put right: a wrong config, a port in use, a missing service. `message` names plugin, key and cure. */
export class OperatorError extends Error {
  override readonly name = 'OperatorError'
  /** Stable, for tests and users: `ERR_CONFIG`, `ERR_PORT_IN_USE`, `ERR_SERVICE_MISSING`… */
  readonly code: ErrorCode
  /** Every problem found, one a line; `message` holds them joined. */
  readonly problems: readonly string[]

  constructor(code: ErrorCode, problems: string | readonly string[], options?: ErrorOptions) {
    const list = typeof problems === 'string' ? [problems] : problems
    super(list.join('\n'), options)
    this.code = code
    this.problems = list
  }
}
