import type { Client, Session } from './connection/client.ts'
import type { Transport, TransportEvents } from './connection/transport.ts'
import type { DropReason } from './counter-names.ts'
import type { Counters } from './counters.ts'
import type { Hooks } from './hooks.ts'
import type { Log } from './log.ts'
import type { Message } from './messages/message.ts'
import type { ServerMessage } from './messages/own-publish.ts'
import type { Settings } from './options/settings.ts'
import type { QoS } from './protocol/constants.ts'
import type { Publisher, Revoked, Rights, Whom } from './publisher.ts'
import type { Refusal } from './refusals.ts'
import type { PickedMember } from './routing/dispatcher.ts'
import type { Subscription } from './routing/subscription.ts'
import type { Route } from './routing/target.ts'
import type { Services } from './services.ts'
import type { StoredSubscriber, StoredWill } from './sessions/session-store.ts'
import type { Clock } from './time/clock.ts'
import type { WorkerPlace } from './worker-place.ts'

/** How much the broker holds. */
export interface BrokerTotals {
  /** Sessions, connected or not. */
  readonly sessions: number
  /** Subscriptions, all sessions together. */
  readonly subscriptions: number
  /** Sessions whose publishers are being slowed, because they do not keep up. */
  readonly slowedSessions: number
  /** Clients whose acknowledgements are kept back, because something is not kept yet. */
  readonly withholdingClients: number
}

/**
 * A broker as plugins see it: who is connected, what is published in its own name, and what those who connect nodes need. Whoever brings a part of it that is
 * not core's adds its members here, as plugins add theirs to the map of services: `declare module 'mqttx-broker' { interface Broker { … } }`.
 */
export interface Broker {
  /** The broker's own options. */
  readonly settings: Settings
  /**
   * Where long work of clients waits for its next slice: one slice of anybody's in each turn of the event loop. `next` resolves when it is the
   * caller's turn; a caller waits in one place at a time.
   */
  readonly turns: { next(): Promise<void> }
  /** Time, turns of the event loop and chance, which tests decide about: in place of `Date.now`, `setTimeout`, `setImmediate` and `randomBytes`. */
  readonly clock: Clock
  /** The coarse clock: `clock.now()`, at most 250 ms old. Milliseconds since the Unix epoch. */
  readonly now: number
  /** Everything that happens; tap what you need. */
  readonly hooks: Hooks
  /** What one plugin owns and others use. */
  readonly services: Services
  /** What the broker counts, from the start on. */
  readonly counters: Counters
  /** What the broker itself keeps only to spare time, routes and topic names: its name, its bytes, roughly, and what forgets it. */
  readonly caches: readonly { readonly name: string; readonly bytes: number; clear(): void }[]
  /** What the plugins that are there add to the protocol; CONNACK says so. */
  readonly capabilities: { retain: boolean; sharedSubscriptions: boolean }
  /** Tests whether a user name of CONNECT is a secret, such as a token: its client has no user name then before it is admitted, and is nowhere shown by it. */
  readonly secretUsernames: Set<(username: string) => boolean>
  /** The package's version. */
  readonly version: string
  /** The folder of the config, which the paths in it are relative to; the current one where there is no file. */
  readonly folder: string
  /** The owner of the `log` service; silent until there is one. */
  readonly log: Log
  /** Which worker of the broker this process is; null: it is the whole broker. */
  readonly worker: WorkerPlace | null
  /** `stop` has been called. */
  readonly stopping: boolean
  /** Connections, from the first byte on. */
  readonly clients: ReadonlySet<Client>
  /** How many sessions, subscriptions and slow clients there are, just now. */
  readonly totals: BrokerTotals
  /** The sessions that this node knows, with and without a connection. Whoever walks over them does so a slice in each turn of the event loop. */
  readonly knownSessions: Iterable<Session>

  /** The connection of a client id, where it is connected here. */
  clientOf(clientId: string): Client | undefined
  /** The session of a client id, where this node knows it. */
  sessionOf(clientId: string): Session | undefined
  /**
   * Gives other rights to a client by its id, or to all of a user, while they are connected. What they subscribed to and may no longer
   * is taken away, and so are messages that wait for them; sessions without a connection are treated alike, as far as this broker
   * has seen them; in a cluster all its nodes do so. Holds until the next CONNECT, which is authenticated anew. Returns how many
   * sessions of this node it concerns.
   */
  setRights(whom: Whom, rights: Rights | null): number
  /** What `setRights` does, at this node alone: for a plugin that connects nodes, when another node has called `setRights`. */
  applyRights(whom: Whom, rights: Rights | null): number
  /** Asks `onAuthorize` again about everything that sessions hold: for a plugin whose rules have changed. */
  recheckRights(): Promise<void>
  /** What `revoke` of a plugin's context does to the connections of this node, and no more: for a plugin that connects nodes, when another node has called that. */
  applyRevoke(whom: Revoked, keepSession: boolean): number
  /** Whether the publisher of a retained message may still publish to its topic, as far as this broker knows the publisher. */
  mayStillPublish(message: Message): boolean
  /** Disconnects a client (0x98), in a cluster wherever it is. Its session stays as long as it asked for. `true`: it was connected here. */
  kick(clientId: string): boolean

  /** A listener hands over a new connection. Null: refused, and closed. */
  accept(transport: Transport): TransportEvents | null

  /** Publishes in the broker's own name; resolves when everybody who has to keep the message has it. */
  publish(message: ServerMessage): Promise<void>
  /**
   * Publishes in the name of a publisher whose packet came earlier, the way of a publish from `onAuthorize` on: a message that was held back.
   * Resolves when everybody who has to keep the message has it, or it was refused (`'refused'`, counted as dropped); rejects where a store could not keep it.
   */
  publishFor(publisher: Publisher, message: Message): Promise<'published' | 'refused'>
  /**
   * Why a publish of this publisher would be refused before `onPublish` is asked: the topic name is reserved or too long, the payload is not what it says it is,
   * or `onAuthorize` does not let it pass. `undefined`: it would not be. A tap of `onPublish` that gives a message another topic name asks here, and returns the answer.
   */
  publishFault(publisher: Publisher, message: Message): Refusal | undefined
  /** Who gets what is published to a topic name, just now. */
  routeOf(topic: string): Route<Session>
  /** One message to one connected client, whatever it has subscribed to: retained messages, answers. */
  deliver(client: Client, message: Message, qos: QoS, retain: boolean, identifiers: readonly number[] | null): void
  /**
   * Subscribes a connected client to one filter as if it had sent a SUBSCRIBE: rights and plugins are asked, the store keeps it, retained messages come. Resolves to what SUBACK
   * would say: the QoS, or a reason code from 0x80 on. Rejects where the client is not connected, or the filter is none.
   */
  subscribeClient(client: Client, filter: string, qos: QoS): Promise<number>
  /** The same for an UNSUBSCRIBE: 0, 0x11 where the client had no such subscription, or a reason code from 0x80 on. */
  unsubscribeClient(client: Client, filter: string): Promise<number>
  /**
   * Takes out of the queue of a session what waits for its client; what is on its way stays, and so does the session. Resolves to how many messages were taken out (each is a drop, `cleared`); null:
   * this node does not know the session. Rejects as the session store does: with `SessionLostError` where the session is another node's.
   */
  clearQueue(clientId: string): Promise<number | null>
  /** A message did not reach a subscriber: counts it, and tells `onDrop`. `reasonCode`: what the publisher of a refused message was told. */
  drop(clientId: string, message: Message, reason: DropReason, reasonCode?: number): void
  /** Something failed that no client is to blame for: a line in the log, and `onError`. A store that is away or full is one line a second at most. */
  report(error: unknown): void
  /**
   * Sends a client's packets to `onPacketReceived` and `onPacketSent`, from its next connection on and for the present one; `true`: every
   * client's.
   */
  trace(clientId: string | true, on?: boolean): void
  /** Whether packets of a client id are traced. */
  traces(clientId: string): boolean

  // For whoever connects nodes.

  /**
   * Passes on what another node has accepted and kept: to the subscribers that are connected here (`plain`: those with subscriptions of
   * their own), and to the members of shared groups that the other node has picked. Returns undefined, or resolves when it is time for the next one: so much has been
   * matched in this turn of the event loop.
   */
  receive(message: Message, plain: boolean, picked: readonly PickedMember[]): Promise<void> | undefined
  /**
   * A client of another node, whose session ends with its connection, has joined a shared group: messages of the group may go to it as to
   * members of this node.
   */
  memberJoined(node: string, clientId: string, subscription: Subscription): void
  /** A client of another node has left a shared group; `filter` is the whole one, `$share/{name}/{filter}`. */
  memberLeft(node: string, clientId: string, filter: string): void
  /** Another node has gone: no client is connected there any more, and its members have left their shared groups. */
  nodeLeft(node: string): void
  /**
   * All nodes, this one too, know of a client's connection here: from now on, a connection of the same client id that another node
   * announces is the later one.
   */
  connectionKnown(client: Client): void
  /**
   * Whether the client of this id that is connected here is another user's and sessions go to their own user only (`mqtt.clientIdOwner`): one of this user
   * that another node announces must not take its place, and is refused there, by `refuseOwned`.
   */
  belongsToAnother(clientId: string, user: string | null): boolean
  /** The client id of this connection is that of another user's client, at another node: it is refused (0x85), or closed (0x87) where it has got its CONNACK, and leaves no session and no will. */
  refuseOwned(client: Client): void
  /**
   * Another node has a client of this id now: the connection here ends, if `connectionKnown` was called for it. `withoutWill` (default false): the will of a
   * session that ends with its connection is dropped, and counted (`refused`), because the client has been answered elsewhere and may have published since.
   */
  connectedElsewhere(clientId: string, withoutWill?: boolean): void
  /** Reads all stored sessions anew, because what other nodes have done to them may have been missed. */
  reloadSessions(): Promise<void>
  /**
   * What the store says of the durable subscribers of a topic, where they are looked up before each message: those without a connection here hold
   * exactly these subscriptions from now on. Returns them.
   */
  refreshSessions(topic: string, found: readonly StoredSubscriber[]): readonly Session[]
  /** A session without a connection is not needed any more: no message is matched with it until it is known again. */
  forgetSession(session: Session): void
  /** Sends a will that another node has left behind, the way of a publish. */
  publishWill(clientId: string, will: StoredWill): void
  /** Resolves when everybody who has to keep the will of this client that was sent last has it, or it was refused; `undefined`: none is on its way. */
  willKept(clientId: string): Promise<void> | undefined
}

export type { ServerMessage }
