import type { Broker } from '../../core/broker.ts'
import type { Queues } from '../kit/services/queues.ts'
import type { OwnTransports } from './local-end.ts'

/** What all connections of a broker share. */
export interface BridgingParts {
  readonly broker: Broker
  readonly queues: Queues | undefined
  /** By which bridges know this broker. */
  readonly id: string
  readonly maxHops: number
  /** The connections of the bridge's own clients, which need no other authentication. */
  readonly own: OwnTransports
  /** Messages that had been here before, or had passed too many bridges. */
  readonly loops: { count: number }
  locate(file: string): string
  /** Something is wrong that no message is to blame for. */
  report(error: unknown): void
}

/** What is known of one connection. */
export interface BridgingFigures {
  readonly sent: number
  readonly received: number
  readonly waiting: number
  /** Bytes. */
  readonly waitingBytes: number
  /** Sent again, and received again, because a connection had broken. */
  readonly repeated: number
  readonly droppedFull: number
  readonly refused: number
  readonly parked: number
  readonly parkedBytes: number
  readonly connects: number
  /** Milliseconds since the oldest message that waits was received; 0 where none does. */
  readonly lagMs: number
}
