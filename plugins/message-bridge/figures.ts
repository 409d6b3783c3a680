import type { Figure, Figures, Sample } from '../kit/figures.ts'
import type { Bridge, BridgeFigures } from './bridge.ts'

/** Offers what there is to know of the bridge, each target apart. */
export function offerFigures(figures: Figures, bridge: Bridge): void {
  const offer = (name: string, type: Figure['type'], help: string, topic: string, value: (of: BridgeFigures) => number) =>
    figures.add({
      name: `bridge_${name}`,
      type,
      help,
      read: (): Sample[] =>
        [...bridge.targets].map(({ name: target }) => ({
          value: value(bridge.figures(target)),
          labels: { target },
          sys: `bridge/${target}/${topic}`,
        })),
    })
  offer('sent_messages_total', 'counter', 'Messages that the system has taken.', 'messages/sent', ({ sent }) => sent)
  offer(
    'waiting_messages',
    'gauge',
    'Messages that wait for the system, in memory and on disk.',
    'messages/waiting',
    ({ waiting }) => waiting,
  )
  offer(
    'waiting_bytes',
    'gauge',
    'Bytes that wait for the system, in memory and on disk.',
    'bytes/waiting',
    ({ waitingBytes }) => waitingBytes,
  )
  offer('lag_seconds', 'gauge', 'Age of the oldest message on its way to the system.', 'lag', ({ lagMs }) => lagMs / 1000)
  offer('failed_sends_total', 'counter', 'Attempts to send that failed and were made again.', 'sends/failed', ({ repeated }) => repeated)
  offer('dropped_full_messages_total', 'counter', 'Messages that found no room.', 'messages/dropped/full', ({ droppedFull }) => droppedFull)
  offer(
    'dropped_refused_messages_total',
    'counter',
    'Messages that the system will never take.',
    'messages/dropped/refused',
    ({ droppedRefused }) => droppedRefused,
  )
  figures.add({
    name: 'bridge_refused_messages_total',
    type: 'counter',
    help: 'Messages that the system will never take, by its reason.',
    read: (): Sample[] =>
      [...bridge.targets].flatMap(({ name: target }) =>
        [...bridge.refusals(target)].map(([reason, value]) => ({ value, labels: { target, reason } })),
      ),
  })
  offer(
    'parked_messages',
    'gauge',
    'Messages that the system refused though they were acknowledged, kept on disk.',
    'messages/parked',
    ({ parked }) => parked,
  )
  offer('parked_bytes', 'gauge', 'Bytes of these.', 'bytes/parked', ({ parkedBytes }) => parkedBytes)
}
