import type { Broker } from '../../../core/broker.ts'

/** Messages that were not delivered, and why, one after the other to the same client for the same reason as one. */
export interface DropRow {
  /** When the last of them was dropped: milliseconds since the Unix epoch. */
  readonly at: number
  /** Whose message it was: the subscriber's client id, of a refused publish the publisher's. Cut where it is long. */
  readonly id: string
  /** The topic name of the last one, cut where it is long. */
  readonly topic: string
  /** Why: `queueFull`, `refused`… */
  readonly reason: string
  /** What the publisher of a refused message was told. */
  readonly code?: number
  /** How many they are. */
  readonly count: number
}

/** What was dropped lately: what plugin `dropLog` remembers. */
export interface Drops {
  /** How many of a client's messages were dropped, by reason; null: none that is remembered. */
  of(clientId: string): Readonly<Record<string, number>> | null
  /** The last drops, the newest first: of one client, or all. */
  last(limit: number, clientId?: string): DropRow[]
  /** How many were dropped in so many milliseconds, by reason, to the minute; at most a day. */
  within(ms: number): Record<string, number>
}

/** What is remembered of dropped messages; `undefined`: plugin `dropLog` is off. */
export function dropsOf(broker: Broker): Drops | undefined {
  return broker.services.find('drops')
}

declare module '../../../core/service-map.js' {
  interface ServiceMap {
    /** What was dropped lately: `dropLog` owns it. */
    drops: Drops
  }
}
