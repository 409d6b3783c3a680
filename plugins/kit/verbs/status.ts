import type { Broker } from '../../../core/broker.ts'
import { StoreFullError } from '../../../core/sessions/session-store.ts'
import type {} from '../services/bus.ts'
import type {} from '../services/memory-pressure.ts'
import type { nodesVerb, statusVerb } from './declarations.ts'
import type { VerbWork } from './define-verb.ts'

/** How a node is. */
export interface StatusAnswer {
  /** The node's name: its `brokerId`. */
  readonly node: string
  /** The version of the package. */
  readonly version: string
  /** Nothing is wrong that this answer knows of. */
  readonly well: boolean
  /** What is wrong, one line each. */
  readonly problems: readonly string[]
  /** Milliseconds since the broker was made. */
  readonly uptimeMs: number
  /** The plugin that keeps sessions: `disk`, `redis`, `memory`. */
  readonly store: string | null
  /** Bytes that are free where the store keeps things; null: nobody knows. */
  readonly storeFreeBytes: number | null
  /** Clients that are connected. */
  readonly connections: number
  /** Sessions, connected or not. */
  readonly sessions: number
  /** Subscriptions, all sessions together. */
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
}

// A bridge whose oldest message is older than this is not well.
const lagSecondsMax = 60

const startedAt = new WeakMap<Broker, number>()

/** Uptime is counted from here. */
export function beginUptime(broker: Broker): void {
  startedAt.set(broker, broker.clock.now())
}

/** How this node is, and what is wrong. */
export const status: VerbWork<typeof statusVerb.takes> = {
  run(broker): StatusAnswer {
    const { services, totals, counters } = broker
    const problems = problemsOf(broker)
    return {
      node: broker.verbs.node,
      version: broker.version,
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
      listeners: broker.listeners.map(({ protocol, host, port }) => `${protocol}://${host.includes(':') ? `[${host}]` : host}:${port}`),
      bridges: bridgesOf(broker),
      nodes: services
        .find('bus')
        ?.nodes()
        .map(({ name }) => name) ?? [broker.verbs.node],
    }
  },
}

function uptimeOf(broker: Broker): number {
  return Math.round(broker.clock.now() - (startedAt.get(broker) ?? broker.clock.now()))
}

/** What is wrong just now, one line each. */
export function problemsOf(broker: Broker): string[] {
  const problems: string[] = []
  const { services } = broker
  if (broker.stopping) problems.push('the broker is stopping')
  const sessions = services.find('sessions')
  const trouble = sessions?.trouble?.() ?? null
  if (sessions?.room?.().full === true || trouble instanceof StoreFullError) problems.push('the store has no room for new messages')
  else if (trouble !== null) problems.push(`the store does not answer: ${trouble.message}`)
  if (services.find('bus')?.connected === false) problems.push('this node is cut off from its cluster')
  if (services.find('memoryPressure')?.slows === true) problems.push('memory is short: publishers are slowed')
  for (const { target, lagSeconds } of bridgesOf(broker)) {
    if (lagSeconds >= lagSecondsMax) problems.push(`the bridge to ${target} is ${Math.round(lagSeconds)} s behind`)
  }
  return problems
}

/** A system that messages are bridged to. */
export interface BridgeRow {
  /** The name of the target: `kafka`. */
  readonly target: string
  /** Messages that wait for it. */
  readonly waiting: number
  /** The age of the oldest message on its way, in seconds. */
  readonly lagSeconds: number
}

// What the bridge offers as figures says it; without the plugin there are none.
function bridgesOf(broker: Broker): BridgeRow[] {
  const of = (figure: string): ReadonlyMap<string, number> => {
    for (const { name, read } of broker.figures)
      if (name === figure) return new Map(read().map(({ labels, value }) => [labels?.target ?? '', value]))
    return new Map()
  }
  const waiting = of('bridge_waiting_messages')
  return [...of('bridge_lag_seconds')].map(([target, lagSeconds]) => ({ target, waiting: waiting.get(target) ?? 0, lagSeconds }))
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
