import type { ProtocolVersion, QoS } from '../../core/protocol/constants.ts'

/** What the other broker takes. */
export interface RemoteLimits {
  readonly version: ProtocolVersion
  /** Messages of QoS 1 and 2 that may be on their way at once. */
  readonly window: number
  readonly maximumQoS: QoS
  readonly retain: boolean
  readonly maximumPacketSize: number
}
