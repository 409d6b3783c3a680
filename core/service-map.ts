import type { BridgeTargets } from './bridging/bridge-target.ts'
import type { Queues } from './bridging/queues.ts'
import type { Bus } from './cluster/bus.ts'
import type { HttpRoutes } from './listening/http-routes.ts'
import type { Log } from './log.ts'
import type { RetainedStore } from './routing/retained.ts'
import type { SessionStore } from './sessions/session-store.ts'
import type { TlsContexts } from './tls/tls-contexts.ts'

/** What one plugin owns and others use, by name. Plugins add theirs by declaration merging. */
export interface ServiceMap {
  /** Sessions that outlive their connection: `memory`, `disk` or `redis` own it. */
  sessions: SessionStore
  /** Retained messages; the same owners. */
  retained: RetainedStore
  /** How the nodes of a cluster speak with one another: `redis` owns it. */
  bus: Bus
  /** Queues on disk for what waits outside of sessions, such as messages for Kafka: `diskQueue` owns it. */
  queue: Queues
  /** Where messages are bridged to other systems: `messageBridge` owns it. */
  bridge: BridgeTargets
  /** Where log lines go. */
  log: Log
  /** The certificates of the section `ssl`, for every listener that does not say otherwise. */
  tls: TlsContexts
  /** HTTP beside WebSocket, on the same ports. */
  http: HttpRoutes
}
