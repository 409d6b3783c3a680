import type { Broker } from '../../core/broker.ts'
import type { Seats } from '../../core/connection/transport.ts'
import type { ClientLines } from '../kit/client-lines.ts'

/** What all connections of one listener have in common. */
export interface SocketListener {
  readonly broker: Broker
  readonly seats: Seats
  /** Says what is refused. */
  readonly lines: ClientLines
  readonly allowAnonymous: boolean | undefined
  /** They go by Node's own handles. */
  readonly handles: boolean
}
