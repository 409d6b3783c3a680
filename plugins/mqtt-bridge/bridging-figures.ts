import type { ParkedOnDisk } from '../kit/parked-rows.ts'
import type { BridgingFigures } from './bridging-parts.ts'
import type { Incoming } from './incoming.ts'
import type { OutLane } from './out-lane.ts'
import type { OutParcel } from './out-parcel.ts'
import type { Outgoing } from './outgoing.ts'
import type { Relay } from './relay.ts'

/** What the figures of one connection are summed from. */
interface Counted {
  readonly outgoing: Outgoing
  readonly incoming: Incoming
  readonly relay: Relay | null
  readonly parked: ParkedOnDisk<OutParcel> | null
  readonly refused: number
  readonly awayDrops: number
  readonly connects: number
  /** Milliseconds since the Unix epoch. */
  readonly now: number
}

export function figuresOf({ outgoing, incoming, relay, parked, refused, awayDrops, connects, now }: Counted): BridgingFigures {
  const lanes = [...outgoing.lanes]
  const lagOf = (at: number): number => (at === 0 ? 0 : Math.max(0, now - at))
  const sum = (of: (lane: OutLane) => number): number => lanes.reduce((total, lane) => total + of(lane), 0)
  return {
    sent: outgoing.sent + (relay?.sent ?? 0),
    received: incoming.received + (relay?.received ?? 0),
    waiting: outgoing.waiting + (relay?.waiting ?? 0),
    waitingBytes: sum(({ bytes }) => bytes),
    repeated: outgoing.repeated + incoming.repeated + (relay?.repeated ?? 0),
    droppedFull: sum(({ full }) => full) + awayDrops,
    refused,
    parked: parked?.length ?? 0,
    parkedBytes: parked?.bytes ?? 0,
    connects,
    lagMs: Math.max(lagOf(outgoing.oldest), lagOf(relay?.oldest ?? 0)),
  }
}
