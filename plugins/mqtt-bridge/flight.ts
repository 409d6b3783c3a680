import type { QoS } from '../../core/protocol/constants.ts'
import type { WaitingRecord } from '../kit/backlog.ts'
import type { OutLane } from './out-lane.ts'
import type { OutParcel } from './out-parcel.ts'

/** One message on its way. */
export interface Flight {
  readonly lane: OutLane
  readonly record: WaitingRecord<OutParcel>
  readonly packetId: number
  /** The QoS that it went with. */
  qos: QoS
  /** PUBREC has come: what is left is PUBREL. */
  released: boolean
  /** It was sent over the connection that there is. */
  onWire: boolean
}
