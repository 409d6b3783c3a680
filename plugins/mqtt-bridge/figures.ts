import type { Figure, Figures, Sample } from '../kit/figures.ts'
import type { Bridging } from './bridging.ts'
import type { BridgingFigures } from './bridging-parts.ts'

/** Offers what there is to know of each connection. */
export function offerFigures(figures: Figures, bridgings: () => readonly Bridging[], loops: { readonly count: number }): void {
  const offer = (
    name: string,
    type: Figure['type'],
    help: string,
    topic: string,
    value: (of: BridgingFigures, bridging: Bridging) => number,
  ) =>
    figures.add({
      name: `mqtt_bridge_${name}`,
      type,
      help,
      read: (): Sample[] =>
        bridgings().map(bridging => ({
          value: value(bridging.figures(), bridging),
          labels: { target: bridging.name },
          sys: `mqttBridge/${bridging.name}/${topic}`,
        })),
    })
  offer('connected', 'gauge', 'Whether the other broker is connected: 1 or 0.', 'connected', (_of, { isUp }) => (isUp ? 1 : 0))
  offer('connects_total', 'counter', 'Connections to the other broker.', 'connects', ({ connects }) => connects)
  offer('sent_messages_total', 'counter', 'Messages that the other broker has taken.', 'messages/sent', ({ sent }) => sent)
  offer('received_messages_total', 'counter', 'Messages that came from there.', 'messages/received', ({ received }) => received)
  offer('repeated_messages_total', 'counter', 'Messages that were sent or received again.', 'messages/repeated', ({ repeated }) => repeated)
  offer('waiting_messages', 'gauge', 'Messages that wait for the other broker.', 'messages/waiting', ({ waiting }) => waiting)
  offer('waiting_bytes', 'gauge', 'Bytes of these, in memory and on disk.', 'bytes/waiting', ({ waitingBytes }) => waitingBytes)
  offer('lag_seconds', 'gauge', 'Age of the oldest message that waits.', 'lag', ({ lagMs }) => lagMs / 1000)
  offer('dropped_full_messages_total', 'counter', 'Messages that found no room.', 'messages/dropped/full', ({ droppedFull }) => droppedFull)
  offer(
    'refused_messages_total',
    'counter',
    'Messages that one of the brokers will never take.',
    'messages/refused',
    ({ refused }) => refused,
  )
  figures.add({
    name: 'mqtt_bridge_looped_messages_total',
    type: 'counter',
    help: 'Messages that had been here before, or had passed too many bridges.',
    read: () => [{ value: loops.count, sys: 'mqttBridge/messages/looped' }],
  })
  offer(
    'parked_messages',
    'gauge',
    'Messages that were refused though they were acknowledged, kept on disk.',
    'messages/parked',
    ({ parked }) => parked,
  )
  offer('parked_bytes', 'gauge', 'Bytes of these.', 'bytes/parked', ({ parkedBytes }) => parkedBytes)
}
