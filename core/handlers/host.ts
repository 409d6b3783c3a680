import type { Connection } from '../connection/connection.ts'
import type { Gate, Turns } from '../connection/turns.ts'
import type { DropReason } from '../counter-names.ts'
import type { Counters } from '../counters.ts'
import type { Hooks } from '../hooks.ts'
import type { Log } from '../log.ts'
import type { Message } from '../messages/message.ts'
import type { Settings } from '../options/settings.ts'
import type { Dispatcher } from '../routing/dispatcher.ts'
import type { Authority } from '../sessions/authority.ts'
import type { KnownSession } from '../sessions/known-session.ts'
import type { SessionRoster } from '../sessions/session-roster.ts'
import type { SessionStore, StoredWill } from '../sessions/session-store.ts'
import type { Clock } from '../time/clock.ts'
import type { Timings } from '../timings.ts'
import type { EntryCheck } from './entry-check.ts'

/** What the handlers of inbound packets use of the broker. */
export interface HandlerHost {
  readonly settings: Settings
  readonly hooks: Hooks
  readonly capabilities: { readonly retain: boolean; readonly sharedSubscriptions: boolean }
  readonly counters: Counters
  readonly log: Log
  readonly clock: Clock
  readonly timings: Timings
  /** The coarse clock. */
  readonly now: number
  readonly turns: Turns
  /** Where CONNECT packets wait for one another. */
  readonly connectGate: Gate
  readonly sessions: SessionStore
  readonly roster: SessionRoster
  readonly authority: Authority
  readonly entry: EntryCheck
  readonly dispatcher: Dispatcher
  /** Kept beside the hooks, so that the hot path asks a field. */
  readonly matchUsed: boolean
  drop(clientId: string, message: Message, reason: DropReason, reasonCode?: number): void
  report(error: unknown): void
  /** Sends a will the way of a publish. */
  publishWill(clientId: string, will: StoredWill): void
  storeFailed(session: KnownSession, error: unknown, client: Connection | null): void
}
