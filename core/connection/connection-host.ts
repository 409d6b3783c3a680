import type { Counters } from '../counters.ts'
import type { Hooks } from '../hooks.ts'
import type { LineThrottle } from '../line-throttle.ts'
import type { Log } from '../log.ts'
import type { Message } from '../messages/message.ts'
import type { Settings } from '../options/settings.ts'
import type { InboundPublish } from '../protocol/inbound-publish.ts'
import type { ManyFilters } from '../protocol/many-filters.ts'
import type { Packet } from '../protocol/packets.ts'
import type { TopicCache } from '../protocol/topic-cache.ts'
import type { SessionStore } from '../sessions/session-store.ts'
import type { Clock } from '../time/clock.ts'
import type { TimerWheel } from '../time/timer-wheel.ts'
import type { Timings } from '../timings.ts'
import type { Acknowledger } from './acknowledger.ts'
import type { Connection } from './connection.ts'
import type { DisconnectReason } from './disconnect-reason.ts'
import type { Flusher } from './flusher.ts'
import type { PendingPublish } from './pending-publish.ts'
import type { Turns } from './turns.ts'

/** What a connection and its parts use of the broker. */
export interface ConnectionHost {
  readonly settings: Settings
  readonly hooks: Hooks
  /** Kept beside the hooks, so that the hot path asks a field. */
  readonly deliverUsed: boolean
  readonly deliveredUsed: boolean
  readonly counters: Counters
  readonly log: Log
  readonly clock: Clock
  readonly timings: Timings
  /** The coarse clock. */
  readonly now: number
  /** The tick before this one was long ago: the process was held up. */
  readonly heldUp: boolean
  readonly wheel: TimerWheel
  readonly flusher: Flusher
  readonly topics: TopicCache
  readonly router: { readonly spent: boolean }
  readonly turns: Turns
  readonly sessions: SessionStore
  /** What a user name may be that is a secret. */
  readonly secretUsernames: ReadonlySet<(username: string) => boolean>
  /** Those who keep acknowledgements back just now. */
  readonly withholding: Set<Acknowledger>
  /** Bounds the lines about messages that were not kept. */
  readonly unkeptLines: LineThrottle
  clientOf(clientId: string): Connection | undefined
  traces(clientId: string): boolean
  drop(clientId: string, message: Message, reason: 'filtered' | 'expired' | 'tooLarge'): void
  report(error: Error): void
  /** CONNACK is written. */
  connected(connection: Connection, sessionPresent: boolean): void
  /** The connection ends: what becomes of its session and will. */
  ended(connection: Connection, reason: DisconnectReason, wasConnected: boolean, publishWill: boolean): void
  /** The transport has closed. */
  transportClosed(connection: Connection): void
}

/** What is done with an inbound PUBLISH. */
export interface PublishHandling {
  /** Judges a publish and routes it; returns it where its verdict, or its turn, is still awaited. */
  handle(connection: Connection, publish: InboundPublish): PendingPublish | null
  /** Routes a publish that has its verdict, and sees to its acknowledgement. */
  complete(connection: Connection, publish: PendingPublish): void
}

/** What is done with inbound packets; a promise: what stands behind the packet waits. */
export interface PacketHandlers {
  readonly publish: PublishHandling
  packet(connection: Connection, packet: Packet): void | Promise<void>
  /** A long SUBSCRIBE or UNSUBSCRIBE. */
  manyFilters(connection: Connection, packet: ManyFilters): Promise<void>
}
