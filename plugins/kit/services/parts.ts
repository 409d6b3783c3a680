import type { Message } from '../../../core/messages/message.ts'
import type {
  AppendTarget,
  Done,
  ReceivedId,
  SessionKey,
  SessionStore,
  StoredWill,
  SurvivingSession,
} from '../../../core/sessions/session-store.ts'
import type { RetainedStore } from './retained.ts'
import type { State, StateEntry } from './state.ts'

/** A session store that keeps a part of a broker's sessions, in one of its workers: either it outlives its worker (`lasting`), or it is lost with it (`restore`). */
export interface PartStore extends SessionStore {
  /** A part that is lost with its worker: writes a session again whose client is connected to `node`. */
  restore?(session: SurvivingSession, node: string): void
  /** A part that outlives its worker. */
  readonly lasting?: LastingPart
}

/** What a part does that outlives its worker. */
export interface LastingPart {
  /**
   * The client of a session is connected to another worker, which has owned it since before this part was opened. Answers for how many milliseconds the session outlives its
   * connection; null: there is no such session, or a newer owner.
   */
  connected(session: SessionKey, node: string): number | null
  /** The will that this part owes a client id whose connection ended with an earlier run of its worker: nobody else gets it then. Null: none. */
  orphanedWill(clientId: string): StoredWill | null
  /**
   * The first step of a QoS 2 message whose receivers lie in other parts than its publisher: keeps a token under its packet identifier, and resolves to that, or to the one that is
   * there already, because an attempt before broke off (`isRepeated`). `digest` tells the message from another one that a publisher has sent under the same identifier because the first was refused.
   */
  intend(received: ReceivedId, digest: string): Promise<Intention>
  /** A token stands under the packet identifier of a session in this part. */
  isIntended(session: SessionKey, packetId: number): boolean
  /**
   * The second step, in each part with receivers: `append`, but for sessions that have taken the message under this token before; `taken` is called for those. The last one is `append`
   * without targets, which forgets the token under the packet identifier.
   */
  appendOnce(message: Message, targets: readonly AppendTarget[], token: string, taken: (target: AppendTarget) => void): Done
  /** The message is through: sessions need not remember its token any more. */
  through(token: string, clientIds: readonly string[]): void
  /** All tokens that stand under packet identifiers in this part. */
  tokens(): readonly string[]
  /** Of the tokens that sessions of this part remember since before it was opened they need only these. */
  keepTokens(needed: ReadonlySet<string>): void
}

/** What stands under the packet identifier of a QoS 2 message on its way to several parts. */
export interface Intention {
  /** By which parts know the message: 12 characters. */
  readonly token: string
  /** An attempt before has come as far, and may have come further. */
  readonly isRepeated: boolean
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
  /** The first worker keeps the retained messages, `own` there; elsewhere `own` reads what the first one keeps, is never told to set anything, and calls `onExpired`, which it is given, with what it has found to be expired. */
  retainedAtFirst(own: RetainedStore & { onExpired?: (topics: readonly string[]) => Promise<void> }): RetainedStore
  /** What this worker keeps is about to be closed: resolves when the clients of all workers have gone, so that all is written that is to be. */
  closing(): Promise<void>
  /** Each worker has all of the state; `change` changes what this one has. `keeps`: the first worker keeps it by its own `State`, so what all have is what lies there. */
  state(own: State, change: PartState, keeps?: boolean): State
}

declare module '../../../core/service-map.js' {
  interface ServiceMap {
    /** One store of those of all workers: there where the broker has several and no server keeps what they share. */
    parts: Parts
  }
}
