import type { Broker } from '../../core/broker.ts'
import type { StoreTotals } from '../../core/sessions/session-store.ts'
import { cachesOf } from '../kit/bounded-cache.ts'
import type { Figure, Sample } from '../kit/figures.ts'
import { type OpenFiles, openFiles } from '../kit/listening/open-files.ts'
import type { EventCounts } from './event-counts.ts'
import { isStoreFull, storeTrouble } from './health.ts'
import type { StoredTotals } from './stored-totals.ts'
import type { TapTimes } from './tap-times.ts'

// Figures of one scrape are read within this time.
const sameScrapeMs = 50

const versions: Readonly<Record<number, string>> = { 3: '3.1', 4: '3.1.1', 5: '5' }

/** What core counts, and what can be read off it. */
export function coreFigures(broker: Broker, tapTimes: TapTimes, stored: StoredTotals, events: EventCounts): Figure[] {
  const { counters, services } = broker
  const counter = (name: string, help: string, read: () => number): Figure => ({
    name,
    help,
    type: 'counter',
    read: () => [{ value: read() }],
  })
  const gauge = (name: string, help: string, read: () => number): Figure => ({ name, help, type: 'gauge', read: () => [{ value: read() }] })
  // Not 0 where nobody knows.
  const known = (name: string, help: string, read: () => number | null | undefined): Figure => ({
    name,
    help,
    type: 'gauge',
    read: () => {
      const value = read() ?? null
      return value === null ? [] : [{ value }]
    },
  })
  const byKey = (name: string, help: string, label: string, read: () => Readonly<Record<string, number>> | readonly number[]): Figure => ({
    name,
    help,
    type: 'counter',
    read: () => Object.entries(read()).map(([key, value]) => ({ value, labels: { [label]: key } })),
  })
  return [
    {
      name: 'info',
      help: 'The broker: its version and id.',
      type: 'gauge',
      read: () => [{ value: 1, labels: { version: broker.version, broker_id: String(broker.settings.brokerId) } }],
    },
    {
      name: 'connections',
      help: 'Clients that are connected, by version of MQTT, transport and listener.',
      type: 'gauge',
      read: () => connections(broker),
    },
    gauge('connections_max', 'The most clients that were connected at a time.', () => counters.connectedMax),
    counter('connections_opened_total', 'Connections that were opened, admitted or not.', () => counters.connections),
    counter('connections_refused_total', 'Connections that were not let in before CONNECT.', () => counters.connectionsRefused),
    {
      name: 'disconnects_total',
      help: 'Connections of clients that ended, by who ended them (client, server, network) and the reason code.',
      type: 'counter',
      read: () =>
        [...events.disconnects].map(([ending, value]) => {
          const [by, reason] = ending.split(' ') as [string, string]
          return { value, labels: { by, reason } }
        }),
    },
    counter('protocol_errors_total', 'Connections closed for breaking the protocol.', () => counters.protocolErrors),
    byKey('subscriptions_refused_total', 'Filters of SUBSCRIBE packets that were refused, by reason code.', 'reason', () =>
      Object.fromEntries(events.subscribes),
    ),
    counter('plugin_errors_total', 'Taps of plugins that failed.', () => counters.tapErrors),
    byKey('received_messages_total', 'PUBLISH packets received, by QoS.', 'qos', () => counters.receivedByQoS),
    byKey('sent_messages_total', 'PUBLISH packets sent, by QoS.', 'qos', () => counters.sentByQoS),
    counter('received_packets_total', 'Packets received.', () => counters.packetsReceived),
    counter('sent_packets_total', 'Packets sent.', () => counters.packetsSent),
    counter('received_bytes_total', 'Bytes received.', () => counters.bytesReceived),
    counter('sent_bytes_total', 'Bytes sent.', () => counters.bytesSent),
    byKey('dropped_messages_total', 'Messages that did not reach a subscriber, by reason.', 'reason', () => ({ ...counters.dropped })),
    byKey(
      'refused_publishes_total',
      'Publishes that could not be kept (storeFull, storeAway, messageRefused) or that rights, limits or plugins have refused, by reason code.',
      'reason',
      () => ({ ...counters.refusedPublishes, ...Object.fromEntries(events.publishes) }),
    ),
    byKey('limited_total', 'How often a limit took effect.', 'limit', () => ({ ...counters.limited })),
    gauge('sessions', 'Sessions, connected or not.', () => Math.max(broker.totals.sessions, counters.connected)),
    gauge('subscriptions', 'Subscriptions.', () => broker.totals.subscriptions),
    gauge('retained_messages', 'Retained messages.', () => services.find('retained')?.size ?? 0),
    known(
      'retained_bytes',
      'Bytes of the retained messages, roughly; nothing, where the store does not count them.',
      () => services.find('retained')?.bytes,
    ),
    gauge(
      'slowed_sessions',
      'Sessions whose publishers are being slowed, because they do not keep up.',
      () => broker.totals.slowedSessions,
    ),
    gauge(
      'withholding_clients',
      'Clients whose acknowledgements are kept back, because something is not kept yet.',
      () => broker.totals.withholdingClients,
    ),
    ...depths(broker, stored),
    {
      name: 'cache_bytes',
      help: 'Bytes that are kept only to spare time, by cache, roughly.',
      type: 'gauge',
      read: () => [...cachesOf(broker)].map(({ name, bytes }) => ({ value: bytes, labels: { cache: name } })),
    },
    {
      name: 'hook_calls_total',
      help: 'Calls of taps, by plugin and hook.',
      type: 'counter',
      read: () => [...tapTimes].map(({ plugin, hook, calls }) => ({ value: calls, labels: { plugin, hook } })),
    },
    {
      name: 'hook_seconds_total',
      help: 'Seconds for which taps have kept the event loop, by plugin and hook; one call of 64 is timed.',
      type: 'counter',
      read: () => [...tapTimes].map(({ plugin, hook, seconds }) => ({ value: seconds, labels: { plugin, hook } })),
    },
    {
      name: 'open_fds',
      help: 'Files that this process has open, connections among them.',
      type: 'gauge',
      read: () => ofFiles(files => files.count()),
    },
    {
      name: 'open_fds_max',
      help: 'Files that the system lets this process open; some are kept from clients.',
      type: 'gauge',
      read: () => ofFiles(files => files.max),
    },
    gauge('store_up', 'Whether the store answers.', () => (storeTrouble(broker) === null ? 1 : 0)),
    gauge('store_full', 'Whether the store has too little room for new messages.', () => (isStoreFull(broker) ? 1 : 0)),
    known(
      'store_free_bytes',
      'Bytes that are free where the store keeps things; nothing, where nobody knows.',
      () => services.find('sessions')?.room?.().freeBytes,
    ),
    known(
      'store_used_bytes',
      'Bytes that what the store keeps takes there; nothing, where nobody knows.',
      () => services.find('sessions')?.room?.().usedBytes,
    ),
  ]
}

// Nothing where the system does not say.
function ofFiles(read: (files: OpenFiles) => number): Sample[] {
  const files = openFiles()
  return files.max === Number.POSITIVE_INFINITY ? [] : [{ value: read(files) }]
}

function connections(broker: Broker): Sample[] {
  const counts = new Map<string, { labels: Record<string, string>; value: number }>()
  for (const { version, transport, state } of broker.clients) {
    if (state !== 'connected') continue
    const listener = transport.seats?.at ?? transport.listener
    const key = `${version} ${transport.protocol} ${listener}`
    const known = counts.get(key)
    if (known !== undefined) known.value += 1
    else counts.set(key, { labels: { version: versions[version] ?? String(version), transport: transport.protocol, listener }, value: 1 })
  }
  return counts.size === 0 ? [{ value: 0 }] : [...counts.values()]
}

/** What waits: one walk over those who are connected here for all of it, at most once for each scrape, and what the store says of all sessions that it keeps. */
function depths(broker: Broker, stored: StoredTotals): Figure[] {
  let readAt = Number.NEGATIVE_INFINITY
  let found = { inflight: 0, queued: 0, unwritten: 0 }
  const read = (): typeof found => {
    if (broker.clock.now() - readAt < sameScrapeMs) return found
    readAt = broker.clock.now()
    found = { inflight: 0, queued: 0, unwritten: 0 }
    for (const client of broker.clients) {
      found.unwritten += client.unwrittenBytes
      found.inflight += client.inFlight
      found.queued += client.queued
    }
    return found
  }
  const depth = (name: string, help: string, key: keyof typeof found): Figure => ({
    name,
    help,
    type: 'gauge',
    read: () => [{ value: read()[key] }],
  })
  // The same at each node that shares the store, which the name says.
  const ofStore = (name: string, help: string, key: keyof StoreTotals): Figure => ({
    name: `store_${name}`,
    help: `${help}; all that the store keeps, which is the same at each node that shares it. Nothing, before the store has told it.`,
    type: 'gauge',
    read: () => (stored.totals === null ? [] : [{ value: stored.totals[key] }]),
  })
  return [
    depth('inflight_messages', 'Messages that connected clients have not yet acknowledged.', 'inflight'),
    depth('queued_messages', 'Messages that wait for clients that are connected here; of stored sessions those in flight too.', 'queued'),
    depth('unwritten_bytes', 'Bytes that wait for connections to take them.', 'unwritten'),
    ofStore('sessions', 'Stored sessions, connected or not', 'sessions'),
    ofStore('queued_messages', 'Messages in the queues of stored sessions, connected or not, in flight or not', 'messages'),
    ofStore('queued_bytes', 'Bytes of the messages in the queues of stored sessions', 'bytes'),
  ]
}
