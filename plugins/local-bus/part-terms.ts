import type { Subscription } from '../../core/routing/subscription.ts'
import type { SessionKey, SessionStoreEvents } from '../../core/sessions/session-store.ts'
import type { Clock } from '../../core/time/clock.ts'
import type { PartCalls } from './part-calls.ts'

/** What all nodes are told of a session: claimed, parked, subscribed, unsubscribed, ended. */
export type SessionNote =
  /** With a 1: it is a new one, and whatever was known under that client id before is no more. */
  | readonly ['c', clientId: string, epoch: number, node: string, isNew: 0 | 1]
  | readonly ['p', clientId: string, epoch: number]
  | readonly ['s', clientId: string, epoch: number, subscriptions: readonly Subscription[]]
  | readonly ['u', clientId: string, epoch: number, filters: readonly string[]]
  | readonly ['e', clientId: string, epoch: number]

/** What parts use of one another. */
export interface PartTerms {
  /** This worker's name. */
  readonly self: string
  /** The names of all workers, by number, whether they are there or not. */
  readonly all: readonly string[]
  readonly calls: PartCalls
  readonly clock: Clock
  /** The name of the worker that keeps what belongs to a text. */
  homeOf(text: string): string
  /** Tells all workers, in one order; resolves when this one has heard it. */
  note(note: SessionNote): Promise<void>
  /** Waits until this worker has what it needs to begin. */
  load(): Promise<void>
  /** Waits until a worker is there. */
  there(name: string): Promise<void>
  report(error: unknown): void
}

/** What a worker knows of the sessions of all parts. */
export interface AllSessions {
  /** The broker of this worker, once it has opened the store. */
  events: SessionStoreEvents
  /** The client ids of stored sessions. */
  readonly known: Set<string>
  /** Those whose clients are connected here, with the epochs of their owners. */
  readonly mine: Map<string, number>
}

/** What a call to another worker takes: what the broker calls a session is more than can be sent. */
export const keyOf = ({ clientId, epoch }: SessionKey): SessionKey => ({ clientId, epoch })
