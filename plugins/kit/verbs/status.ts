import type { Broker } from '../../../core/broker.ts'
import { type Alarm, alarmsOf } from '../alarms.ts'
import type { ListenerAddress } from '../listening/listener-addresses.ts'
import type {} from '../services/bus.ts'
import { type BridgeRow, bridgesOf } from './bridges.ts'
import type { alarmsVerb, nodesVerb, statusVerb } from './declarations.ts'
import type { VerbWork } from './define-verb.ts'
import type { MissingNode } from './verbs.ts'

/** How a node is; of a broker with several workers, all of them together. */
export interface StatusAnswer {
  /** The node's name: its `brokerId`. */
  readonly node: string
  /** The version of the package. */
  readonly version: string
  /** Clients are served: the broker is neither stopping nor drained, and its store answers. What a health check goes by. */
  readonly serving: boolean
  /** No alarm is on. */
  readonly well: boolean
  /** What is wrong, one line each: the alarms that are on. */
  readonly problems: readonly string[]
  /** Milliseconds since the broker was made. */
  readonly uptimeMs: number
  /** The plugin that keeps sessions: `disk`, `redis`, `memory`. */
  readonly store: string | null
  /** Bytes that are free where the store keeps things; null: nobody knows. */
  readonly storeFreeBytes: number | null
  /** Clients that are connected. */
  readonly connections: number
  /** Sessions, connected or not. Of several workers that of the one with most: stored sessions are known to all. */
  readonly sessions: number
  /** Subscriptions, all sessions together; of several workers as `sessions`. */
  readonly subscriptions: number
  /** Retained messages. */
  readonly retained: number
  /** Sessions whose publishers are being slowed. */
  readonly slowed: number
  /** Clients whose acknowledgements are kept back. */
  readonly withholding: number
  /** Where clients can connect. */
  readonly listeners: readonly string[]
  /** The systems that messages are bridged to. */
  readonly bridges: readonly BridgeRow[]
  /** The names of all nodes that live, this one too. */
  readonly nodes: readonly string[]
  /** Workers of this broker that have not answered. */
  readonly missing?: readonly MissingNode[]
}

const startedAt = new WeakMap<Broker, number>()

/** Uptime is counted from here. */
export function beginUptime(broker: Broker): void {
  startedAt.set(broker, broker.clock.now())
}

/** How this node is, and what is wrong. */
export const status: VerbWork<typeof statusVerb.takes> = {
  run(broker): StatusAnswer {
    const { services, totals, counters } = broker
    const alarms = alarmsOf(broker)
    alarms.look()
    const problems = [...(broker.stopping ? ['the broker is stopping'] : []), ...alarms.active.map(({ text }) => text)]
    return {
      node: broker.verbs.node,
      version: broker.version,
      serving: !broker.stopping && !alarms.active.some(({ name }) => name === 'storeAway' || name === 'clusterCut' || name === 'draining'),
      well: problems.length === 0,
      problems,
      uptimeMs: uptimeOf(broker),
      store: services.ownerOf('sessions') ?? null,
      storeFreeBytes: services.find('sessions')?.room?.().freeBytes ?? null,
      connections: counters.connected,
      sessions: Math.max(totals.sessions, counters.connected),
      subscriptions: totals.subscriptions,
      retained: services.find('retained')?.size ?? 0,
      slowed: totals.slowedSessions,
      withholding: totals.withholdingClients,
      listeners: broker.listeners.map(addressOf),
      bridges: bridgesOf(broker),
      nodes: services
        .find('bus')
        ?.nodes()
        .map(({ name }) => name) ?? [broker.verbs.node],
    }
  },
  merge(parts, missing): StatusAnswer {
    const all = parts.map(({ answer }) => answer as StatusAnswer)
    const [own] = all
    if (own !== undefined && all.length === 1 && missing.length === 0) return own
    const sum = (of: (one: StatusAnswer) => number): number => all.reduce((total, one) => total + of(one), 0)
    const most = (of: (one: StatusAnswer) => number): number => Math.max(...all.map(of))
    const connections = sum(one => one.connections)
    const bridges = all.flatMap(one => one.bridges)
    return {
      ...own!,
      serving: all.every(({ serving }) => serving),
      well: missing.length === 0 && all.every(({ well }) => well),
      problems: [
        ...all.flatMap(({ node, problems }) => problems.map(text => `${node}: ${text}`)),
        ...missing.map(({ node, why }) => `${node} has not answered: ${why}`),
      ],
      connections,
      sessions: Math.max(
        most(one => one.sessions),
        connections,
      ),
      subscriptions: most(one => one.subscriptions),
      retained: most(one => one.retained),
      slowed: sum(one => one.slowed),
      withholding: sum(one => one.withholding),
      listeners: [...new Set(all.flatMap(one => one.listeners))],
      bridges,
      ...(missing.length > 0 ? { missing } : {}),
    }
  },
}

function uptimeOf(broker: Broker): number {
  return Math.round(broker.clock.now() - (startedAt.get(broker) ?? broker.clock.now()))
}

/** An alarm that is on at a node. */
export interface AlarmRow extends Alarm {
  /** The node. */
  readonly node: string
}

/** The alarms that are on. */
export const alarms: VerbWork<typeof alarmsVerb.takes> = {
  run(broker): { rows: AlarmRow[] } {
    const known = alarmsOf(broker)
    known.look()
    return { rows: known.active.map(alarm => ({ ...alarm, node: broker.verbs.node })) }
  },
  merge(parts, missing): { rows: AlarmRow[]; missing?: readonly MissingNode[] } {
    const rows = parts.flatMap(({ answer }) => (answer as { rows: AlarmRow[] }).rows)
    return { rows: rows.sort((a, b) => a.since - b.since), ...(missing.length > 0 ? { missing } : {}) }
  },
}

/** A node of the cluster. */
export interface NodeRow {
  /** Its name. */
  readonly name: string
  /** It is the one that answers. */
  readonly self: boolean
  /** What it says of itself: version, uptime in seconds, connections, messages. */
  readonly [fact: string]: string | number | boolean
}

/** The nodes that live. */
export const nodes: VerbWork<typeof nodesVerb.takes> = {
  run(broker): { rows: NodeRow[] } {
    const self = broker.verbs.node
    const known = broker.services.find('bus')?.nodes()
    if (known === undefined) {
      const { version, counters } = broker
      return { rows: [{ name: self, self: true, version, uptime: Math.floor(uptimeOf(broker) / 1000), connections: counters.connected }] }
    }
    return { rows: known.map(({ name, facts }) => ({ name, self: name === self, ...facts })) }
  },
}

function addressOf({ protocol, host, port }: ListenerAddress): string {
  // A Unix socket or a named pipe, which has no port.
  if (/[\\/]/.test(host)) return `${protocol}+unix:${host}`
  return `${protocol}://${host.includes(':') ? `[${host}]` : host}:${port}`
}
