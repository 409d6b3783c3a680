import type { Figure, Figures, Sample } from '../kit/figures.ts'
import type { Endpoint, EndpointFigures } from './endpoint.ts'

/** Offers what there is to know of each endpoint. */
export function offerFigures(figures: Figures, endpoints: readonly Endpoint[]): void {
  const offer = (name: string, type: Figure['type'], help: string, topic: string, value: (of: EndpointFigures) => number) =>
    figures.add({
      name: `webhook_${name}`,
      type,
      help,
      read: (): Sample[] =>
        endpoints.map(endpoint => ({
          value: value(endpoint.figures()),
          labels: { target: endpoint.name },
          sys: `webhooks/${endpoint.name}/${topic}`,
        })),
    })
  offer('sent_events_total', 'counter', 'Events that the server has taken.', 'events/sent', ({ sent }) => sent)
  offer('waiting_messages', 'gauge', 'Events that wait for the server.', 'events/waiting', ({ waiting }) => waiting)
  offer('waiting_bytes', 'gauge', 'Bytes of these, in memory and on disk.', 'bytes/waiting', ({ waitingBytes }) => waitingBytes)
  offer('lag_seconds', 'gauge', 'Age of the oldest event on its way to the server.', 'lag', ({ lagMs }) => lagMs / 1000)
  offer('failed_requests_total', 'counter', 'Requests that failed and were made again.', 'requests/failed', ({ repeated }) => repeated)
  offer('dropped_full_events_total', 'counter', 'Events that found no room.', 'events/dropped/full', ({ droppedFull }) => droppedFull)
  offer(
    'dropped_refused_events_total',
    'counter',
    'Events that the server refused and nobody kept.',
    'events/dropped/refused',
    ({ droppedRefused }) => droppedRefused,
  )
  offer(
    'parked_events',
    'gauge',
    'Events that the server refused though they were acknowledged, kept on disk.',
    'events/parked',
    of => of.parked,
  )
  offer('parked_bytes', 'gauge', 'Bytes of these.', 'bytes/parked', ({ parkedBytes }) => parkedBytes)
}
