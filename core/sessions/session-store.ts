// Why it is long: one interface, a sentence for each member, and the shapes that it speaks of.
import type { ErrorCode } from '../error-codes.ts'
import type { Message } from '../messages/message.ts'
import type { QoS } from '../protocol/constants.ts'
import { ReasonCode } from '../reason.ts'
import type { Subscription } from '../routing/subscription.ts'

/** Names a session and its owner, who may write to it: a write whose epoch is not the session's newest is refused. */
export interface SessionKey {
  /** The client id of the session. */
  readonly clientId: string
  /** The number that `claim` gave this owner; each claim gives a higher one. */
  readonly epoch: number
}

/** A write came with an old epoch, because another connection has claimed the session since. The connection that wrote is closed (0x8E). */
export class SessionLostError extends Error {
  override readonly name = 'SessionLostError'
  readonly code = 'ERR_SESSION_LOST' satisfies ErrorCode

  constructor(clientId: string) {
    super(`session ${clientId} has another owner now`)
  }
}

/** The session belongs to another user, and the claim was for its owner only: nothing has changed. The client is refused. */
export class SessionOwnedError extends Error {
  override readonly name = 'SessionOwnedError'
  readonly code = 'ERR_SESSION_OWNED' satisfies ErrorCode
  /** The user name of the owner; null: a client without a user name. */
  readonly owner: string | null

  constructor(clientId: string, owner: string | null) {
    super(`session ${clientId} belongs to ${owner === null ? 'a client without a user name' : `user ${owner}`}`)
    this.owner = owner
  }
}

/** The store cannot be reached: a client whose session would outlive its connection gets CONNACK 3 / 0x88. */
export class StoreAwayError extends Error {
  override readonly name = 'StoreAwayError'
  readonly code = 'ERR_STORE_AWAY' satisfies ErrorCode
}

/** The store has no room (a full disk, Redis at its `maxmemory`): MQTT 5 clients are told 0x97 Quota exceeded rather than 0x88. */
export class StoreFullError extends Error {
  override readonly name = 'StoreFullError'
  readonly code = 'ERR_STORE_FULL' satisfies ErrorCode
}

/**
 * Whoever has to keep something refuses this one message, or this one write, for good, while others are taken: sending it again would not help. A plugin says so of a
 * message through a receipt, a store by the rejection of a verb. MQTT 5 clients are told 0x83.
 */
export class MessageRefusedError extends Error {
  override readonly name = 'MessageRefusedError'
  readonly code = 'ERR_MESSAGE_REFUSED' satisfies ErrorCode
  /** What an MQTT 5 publisher is told; default 0x83 Implementation specific error. */
  reasonCode: ReasonCode = ReasonCode.ImplementationSpecificError
}

/** What a client is told of a write that was not kept: the store has no room, will never take it, or is away. */
export function unkeptReason(error: unknown): ReasonCode {
  if (error instanceof StoreFullError) return ReasonCode.QuotaExceeded
  return error instanceof MessageRefusedError ? error.reasonCode : ReasonCode.ServerUnavailable
}

/** Who asks for a session, and what becomes of it. */
export interface ClaimRequest {
  /** The client id of the session. */
  readonly clientId: string
  /** The node that claims: the client is connected to it. */
  readonly node: string | number
  /**
   * The user name of the client, null where it has none. The session that is claimed belongs to this user from now on. `undefined`: nobody knows whose it is, and it goes
   * to the first user that claims it; for whoever copies sessions that an older version has stored.
   */
  readonly user: string | null | undefined
  /**
   * True: a session that belongs to another user stays as it is, with its owner, its connection and its queue, and `claim` rejects with
   * `SessionOwnedError`. A stored session whose user is unknown, because an older version stored it, goes to the first user that claims it,
   * and one that has expired belongs to nobody. False: any user may claim any session.
   */
  readonly userOnly: boolean
  /** True: a session that is stored under this client id ends, and a new one begins [MQTT-3.1.2-4]. */
  readonly cleanStart: boolean
  /** For how many milliseconds the session outlives its connection. 0: not at all, so a new session is not stored; `Infinity`: for ever. */
  readonly expiryMs: number
  /**
   * The will of the connection, in place of one before; null: it has none, or the session ends with its connection (see `keepWill`). It is kept until
   * the connection has ended well, or the will is due.
   */
  readonly will: StoredWill | null
}

/** A will as stores keep it. */
export interface StoredWill {
  /** What is published. Its expiry counts from then on. */
  readonly message: Message
  /** Milliseconds between the end of the connection and the will; 0: at once. */
  readonly delayMs: number
  /** The user name that `onAuthorize` is asked about when the will is due, because there may be no client any more; null: the client had none. */
  readonly username: string | null
  /** The rights of the client, as its authentication plugin gave them; anything that JSON can hold. */
  readonly rights: unknown
  /** The mount point of the client, for the same reason; absent: it had none. */
  readonly mountPoint?: string | undefined
}

/** What a claim answers. */
export interface Claim {
  /** The epoch of the new owner, higher than any before under this client id. */
  readonly epoch: number
  /** True: a session was there and goes on. CONNACK says so as Session Present. */
  readonly present: boolean
  /** The subscriptions of the session; none where it is new. */
  readonly subscriptions: readonly Subscription[]
  /** Packet identifiers of QoS 2 messages received and not yet released [MQTT-4.3.3-10]. */
  readonly receivedIds: readonly number[]
  /** How much the session's queue holds now, in flight or not: messages, and bytes as `queuedBytes` counts them. */
  readonly queued: { readonly messages: number; readonly bytes: number }
  /** What the session that this claim ended leaves behind; null: it ended none. */
  readonly ended: EndedSession | null
  /**
   * A will that the broker sends now, before the CONNACK, because nobody else will: one without a delay whose broker has died, or one that
   * `keepWill` kept at a broker that has died. Whoever gets it here does not get it by `expire`. Absent and null alike: none.
   */
  readonly orphanedWill?: StoredWill | null
}

/** One message in a session's queue, from `append` until its handshake is over. */
export interface QueueEntry {
  /** Rises along the queue; what `page` continues after. */
  readonly position: number
  /** The message that waits. */
  readonly message: Message
  /** The QoS of this delivery. */
  readonly qos: QoS
  /** The RETAIN flag of this delivery. */
  readonly retain: boolean
  /** The identifiers of the subscriptions that the message matched; null: none of them has one. */
  readonly identifiers: readonly number[] | null
  /** The shared group through which it came, as `name/filter`; null for none. */
  readonly group: string | null
  /** The packet identifier with which it was sent; 0: it was never sent. */
  packetId: number
  /** True: PUBREC has come, so the broker owes PUBREL, not the message [MQTT-4.3.3-4]. Where the session ends now, the message was not dropped. */
  released: boolean
}

/** One session that a message is for, and how it is delivered there. */
export interface AppendTarget {
  /** The client id of the session. */
  readonly clientId: string
  /** The QoS of this delivery. */
  readonly qos: QoS
  /** The RETAIN flag of this delivery. */
  readonly retain: boolean
  /** The identifiers of the subscriptions that the message matched; null: none of them has one. */
  readonly identifiers: readonly number[] | null
  /** The shared group through which it came, as `name/filter`; null for none. */
  readonly group: string | null
  /** The packet identifier that the owner gives while its window has room; 0: the message waits. */
  readonly packetId: number
  /**
   * The epoch of the newest owner that the broker knows (0: of none), who gave `packetId` where that is not 0. Where that owner is not the newest, the message is kept without the identifier,
   * for the new owner to give, and `lost` is called before the append is answered. An epoch other than 0 from before the session began is that of one before it under this client id: the message
   * is not the new session's, and is `dropped` (`sessionEnded`).
   */
  readonly epoch: number
}

/** The QoS 2 message of a durable publisher, remembered in the same batch as it is appended, so that neither can be without the other. */
export interface ReceivedId {
  /** The publisher's session, and its owner. */
  readonly session: SessionKey
  /** The packet identifier of its PUBLISH. */
  readonly packetId: number
}

/** A session that has ended, and what it leaves behind. */
export interface EndedSession {
  /** The client id that it had. */
  readonly clientId: string
  /** The epoch of its last owner, where the store can tell: a session that has begun under the same client id since has a higher one, and goes on. */
  readonly epoch?: number
  /** The subscriptions that it had. */
  readonly subscriptions: readonly Subscription[]
  /** The will of the session, which is due now; null: it has none. */
  readonly will: StoredWill | null
  /** Messages of shared groups that it had not acknowledged. The broker gives them to other members of the group, or drops them. */
  readonly shared: readonly QueueEntry[]
}

/** Something whose time has come: a will, or the end of a session. */
export type Due =
  | { readonly kind: 'will'; readonly clientId: string; readonly will: StoredWill }
  | { readonly kind: 'expired'; readonly session: EndedSession }

/** What a store tells the broker by itself. */
export interface SessionStoreEvents {
  /**
   * A message is not, or no longer, in a session's queue: it was full (`queueFull`), the message expired in it (`expired`), the
   * session has ended (`sessionEnded`), even in the very moment of the append, or the store has a reference to it and no more
   * (`storeFailed`; it was never acknowledged, and what stands for it is empty). Called before that append is answered, with its
   * very message.
   */
  dropped(clientId: string, message: Message, reason: 'queueFull' | 'expired' | 'sessionEnded' | 'storeFailed'): void
  /**
   * An append carried a packet identifier of an owner that is no longer the session's: that owner must not send it. `error`: it is the owner, but whether the store has kept the append
   * nobody knows, so its client is to come again and find out. Default: `SessionLostError`.
   */
  lost(session: SessionKey, error?: Error): void
  /** Another node appended a message to a session whose client is connected here. */
  appended(clientId: string): void
  /** A session that `sessions()` could not show, because the store was away at start. */
  found?(subscriber: StoredSubscriber): void
  /** Another node changed a stored session, or owns it, as of `epoch`; what is left out is as it was. */
  changed?(change: SessionChange): void
  /** A stored session has ended at another node, in the time of the owner with that epoch. */
  gone?(session: SessionKey): void
  /**
   * What the store had kept is gone: a mark that it wrote when it was opened, or when it found itself empty before, is not
   * there. Called once each time it is found empty, when the store has written its mark anew and before it answers another verb. Returns what the broker knows of the
   * sessions whose clients are connected to it; the store writes these again, before what waits for it, and says in the log how many they are. It may ignore them.
   */
  emptied?(): Iterable<SurvivingSession> | void
}

/** A stored session whose client is connected, as the broker knows it: what a store that has come back empty writes again. */
export interface SurvivingSession {
  /** The session, and the epoch of its owner, which stays. */
  readonly key: SessionKey
  /** The user that owns the session; null for a client without a user name. */
  readonly user: string | null
  /** For how many milliseconds the session outlives its connection. */
  readonly expiryMs: number
  /** The will of the connection; null: it has none. */
  readonly will: StoredWill | null
  /** The subscriptions of the session. */
  readonly subscriptions: readonly Subscription[]
  /** Packet identifiers of QoS 2 messages received and not yet released. */
  readonly receivedIds: readonly number[]
  /** Messages that its client has not acknowledged, in the order in which they were sent. Those that waited in the store only are not among them. */
  readonly inFlight: readonly SurvivingMessage[]
}

/**
 * A message on its way to the client of a surviving session. `message` is null where PUBREC has come and it is needed no more; `asked`: it waits for the store to answer the
 * `append` or the `send` that gave it its packet identifier.
 */
export type SurvivingMessage = Omit<QueueEntry, 'position' | 'message'> & { readonly message: Message | null; readonly asked: boolean }

/** How much one session's queue may hold. */
export interface QueueLimits {
  /** Messages at most, in flight or not. */
  readonly messagesMax: number
  /** Bytes at most, as `queuedBytes` counts them. */
  readonly bytesMax: number
  /** What is dropped where the queue is full: the message that comes, or the oldest one that was never sent. */
  readonly whenFull: 'dropNewest' | 'dropOldest'
}

/** What a verb without an answer returns: nothing where it is done, or a promise that resolves when it is. */
export type Done = void | Promise<void>

/**
 * The `sessions` service: every session that outlives its connection. A session that ends with its connection lives in core
 * and never comes here, but for `claim`, which ends what was stored under its client id.
 *
 * Every verb may answer at once (`void`: core goes on in the same call) or later; what it stands for leaves the socket
 * only then: the seven gates. Writes to one session take effect, and are answered, in the order of the calls; a `SessionKey` is read
 * in the call, because its owner may raise the epoch afterwards. A rejected promise means that
 * nothing was kept (no verb throws): with `SessionLostError` the connection is closed, with any other error the acknowledgement is withheld
 * and the publisher's connection closed so that it sends again.
 */
export interface SessionStore {
  /** Called once before anything else. */
  open(events: SessionStoreEvents, limits: QueueLimits): Done
  /** Why the store would keep nothing now; null, or no such method: it would. Health checks ask it, so it answers at once. */
  trouble?(): Error | null
  /** How much room the store has. Health checks and `/metrics` ask it, so it answers at once. A store without this method never says that it is full. */
  room?(): StoreRoom
  /** All stored sessions and their subscriptions, for the routing table at start. A store that is away then shows them by `found` later. */
  sessions(): Iterable<StoredSubscriber> | AsyncIterable<StoredSubscriber>
  /**
   * The broker looks the durable subscribers of a topic up by `subscribersOf` before each message to it, in place of keeping all of them
   * in memory. Default: false.
   */
  readonly looksUpSubscribers?: boolean
  /**
   * The sessions that have subscribed to a topic, each with its matching subscriptions only. Needed where `looksUpSubscribers` is true, where
   * it is asked before each message; shows all subscriptions whose SUBACK has left, at any node.
   */
  subscribersOf?(topic: string): Promise<readonly StoredSubscriber[]>
  /** Becomes the owner of a session: ends any earlier owner and waits for its last writes. Gate: CONNACK. */
  claim(request: ClaimRequest): Claim | Promise<Claim>
  /**
   * Keeps one body and a reference for each target; a target whose session is not there gets it as `dropped`. All or nothing where
   * it fails. Without targets only `received` is kept, and the message must not be looked at once the call has returned. Gates: PUBACK, PUBREC, and PUBLISH with its packet id.
   */
  append(message: Message, targets: readonly AppendTarget[], received: ReceivedId | null): Done
  /** A part of the queue in order, at most `limit` entries, from after `position`; 0 is the beginning. Shows all writes called before it. */
  page(session: SessionKey, position: number, limit: number): readonly QueueEntry[] | Promise<readonly QueueEntry[]>
  /** Gives a queued entry its packet identifier. Gate: PUBLISH. */
  send(session: SessionKey, position: number, packetId: number): Done
  /** PUBACK, PUBCOMP, or PUBREC with an error: the entry goes. */
  ack(session: SessionKey, packetId: number): Done
  /** A queued entry that is never to be sent (expired, filtered, too large) goes. */
  remove(session: SessionKey, position: number): Done
  /** PUBREC: from now on PUBREL is owed. Gate: PUBREL. */
  release(session: SessionKey, packetId: number): Done
  /** PUBREL: the identifier may be used again. Gate: PUBCOMP. */
  forget(session: SessionKey, packetId: number): Done
  /** Keeps a subscription, in place of one with the same filter. SUBACK waits for it. */
  subscribe(session: SessionKey, subscriptions: readonly Subscription[]): Done
  /** Gate: UNSUBACK. */
  unsubscribe(session: SessionKey, filters: readonly string[]): Done
  /**
   * The connection has ended; from now on expiry (milliseconds, may be `Infinity`) and the will's delay run. `keepWill` false: it ended well. `closedAt`: they have run since
   * then, in milliseconds since the Unix epoch, for whoever copies sessions; left out: since now.
   */
  close(session: SessionKey, expiryMs: number, keepWill: boolean, closedAt?: number): Done
  /** Ends a session now: it expired with its connection after all, or was kicked out. */
  end(session: SessionKey): EndedSession | null | Promise<EndedSession | null>
  /**
   * Keeps the will of a session that ends with its connection, apart from `claim`, so that no CONNACK waits for it: one will for each client
   * id and node, the last one given. Null forgets it: the connection has ended, and the broker has sent the will or must not. Once the
   * broker that kept it has died, the will is due at once, whatever its delay: `expire` or a `claim` of its client id hands it out, once.
   * Where such a store dies with its broker there is nothing to keep. A store without this verb loses these wills when its broker dies.
   */
  keepWill?(clientId: string, node: string | number, will: StoredWill | null): Done
  /** What has come due by `now`, at most `limit`; atomic, so that of many nodes one gets it. */
  expire(now: number, limit: number): readonly Due[] | Promise<readonly Due[]>
  /** Waits until all writes are kept. */
  flush(): Done
  /**
   * What is stored in all, at every node. The broker asks every few seconds, so the cost must not grow with what is stored; only the first answer after
   * a start may have to count.
   */
  totals?(): StoreTotals | Promise<StoreTotals>
  /**
   * A part of a session's queue, as `page` shows it, for somebody who does not own the session; null where no such session is stored. It
   * changes nothing, and nobody may change the entries.
   */
  peek?(clientId: string, position: number, limit: number): readonly QueueEntry[] | null | Promise<readonly QueueEntry[] | null>
  /**
   * A stored session, all of it but its queue, which `peek` shows; null where no such session is stored. It shows all writes called before it and changes nothing. A store
   * with this verb, `peek` and `list` can be exported.
   */
  inspect?(clientId: string): StoredSessionState | null | Promise<StoredSessionState | null>
  /**
   * A page of the stored sessions, at most `limit` of them and perhaps fewer: `next` says whether there are more. `after` is the `next` of the
   * page before; null is the beginning. Each session that is stored all the time is shown once; one that comes or ends meanwhile may be shown or not.
   */
  list?(after: string | null, limit: number): SessionPage | Promise<SessionPage>
}

/** How much room a store has. */
export interface StoreRoom {
  /** True: new messages and sessions are refused with `StoreFullError`, because there is too little room for them. */
  readonly full: boolean
  /** Bytes that are free where the store keeps things; null: nobody knows. */
  readonly freeBytes: number | null
  /** Bytes that what the store keeps takes there; left out: nobody knows. */
  readonly usedBytes?: number | undefined
}

/** What a store holds, of all sessions together. */
export interface StoreTotals {
  /** Stored sessions, with and without a connection. */
  readonly sessions: number
  /** Messages in their queues, in flight or not; one that waits in several queues counts in each. */
  readonly messages: number
  /** Bytes of these, as `queuedBytes` counts them. */
  readonly bytes: number
}

/** A page of stored sessions. */
export interface SessionPage {
  /** The sessions, in an order that is the store's own. */
  readonly sessions: readonly SessionSummary[]
  /** What `list` goes on after; null: this is the last page. Only the store that gave it can read it. */
  readonly next: string | null
}

/** What can be said of a stored session without reading its queue. */
export interface SessionSummary {
  /** The client id of the session. */
  readonly clientId: string
  /** The user that owns it, null for a client without a user name; absent: unknown, an older version stored it. */
  readonly user?: string | null
  /** The node that its client is connected to; null: it is not connected. */
  readonly node: string | null
  /** Milliseconds since the Unix epoch; `Infinity`: it has a connection, or never expires. */
  readonly expiresAt: number
  /** How many topic filters it has subscribed to. */
  readonly subscriptions: number
  /** How much the session's queue holds, in flight or not: messages, and bytes as `queuedBytes` counts them. */
  readonly queued: { readonly messages: number; readonly bytes: number }
}

/** A stored session as it is just now, for whoever copies it. */
export interface StoredSessionState {
  /** The client id of the session. */
  readonly clientId: string
  /** The user that owns it, null for a client without a user name; absent: unknown, an older version stored it. */
  readonly user?: string | null
  /** The node that its client is connected to; null: it is not connected. */
  readonly node: string | null
  /** When its connection ended, in milliseconds since the Unix epoch; null: it is connected, or nothing counts from then, because it never expires and has no will. */
  readonly closedAt: number | null
  /** For how many milliseconds it outlives its connection; `Infinity`: for ever. */
  readonly expiryMs: number
  /** The will of its last connection; null: it had none, or it has been sent. */
  readonly will: StoredWill | null
  /** All its subscriptions. */
  readonly subscriptions: readonly Subscription[]
  /** Packet identifiers of QoS 2 messages received and not yet released. */
  readonly receivedIds: readonly number[]
  /** How much the session's queue holds, in flight or not: messages, and bytes as `queuedBytes` counts them. */
  readonly queued: { readonly messages: number; readonly bytes: number }
}

/** A stored session and what it has subscribed to. */
export interface StoredSubscriber {
  /** The client id of the session. */
  readonly clientId: string
  /** All its subscriptions, or those that were asked for. */
  readonly subscriptions: readonly Subscription[]
  /** The user that owns it, null for a client without a user name; absent: unknown, an older version stored it. */
  readonly user?: string | null
  /** The node that its client is connected to; absent and null: it is not connected. */
  readonly node?: string | null
  /** The epoch of its newest owner, or one with which it takes writes as long as it has none; absent: 0, and no operator can change it before its client has come. */
  readonly epoch?: number
}

/** What another node has done to a stored session. */
export interface SessionChange {
  /** The client id of the session. */
  readonly clientId: string
  /** The epoch of the owner that the session had then. */
  readonly epoch: number
  /** The node that its client is connected to now; null: to none. */
  readonly node?: string | null
  /** Subscriptions that were added or changed. */
  readonly subscribed?: readonly Subscription[]
  /** Topic filters that were unsubscribed from. */
  readonly unsubscribed?: readonly string[]
}

declare module '../service-map.js' {
  interface ServiceMap {
    /** Sessions that outlive their connection: `memory`, `disk` or `redis` owns it. */
    sessions: SessionStore
  }
}
