import type { RetainedStore } from '../../../core/routing/retained.ts'
import type { SessionStore, SurvivingSession } from '../../../core/sessions/session-store.ts'
import type { State, StateEntry } from './state.ts'

/** A session store that keeps a part of a broker's sessions, in one of its workers. Its verbs answer at once. */
export interface PartStore extends SessionStore {
  /** Writes a session again that its part has lost: its client is connected to `node`. */
  restore(session: SurvivingSession, node: string): void
}

/** What a worker has of the state, and how that is changed. */
export interface PartState {
  /** Why an entry cannot be kept; null: it can. */
  fault(key: string, value: string): Error | null
  /** This stands under the entry's key from now on. */
  put(entry: StateEntry): void
  /** Nothing stands under the key any more; whether something did. */
  remove(key: string): boolean
}

/** The `parts` service, which workers have that share no server: makes one store of those that each of them has. Asked for in `apply`, by the owner of the stores. */
export interface Parts {
  /** Each session lies in the part of one worker, by its client id. */
  sessions(own: PartStore): SessionStore
  /** Each worker has all retained messages; one, by the topic name, says in which order they were set. */
  retained(own: RetainedStore): RetainedStore
  /** Each worker has all of the state; `change` changes what this one has. */
  state(own: State, change: PartState): State
}

declare module '../../../core/service-map.js' {
  interface ServiceMap {
    /** One store of those of all workers: there where the broker has several and no server keeps what they share. */
    parts: Parts
  }
}
