import type { Message } from '../messages/message.ts'
import type { ProtocolVersion } from '../protocol/constants.ts'
import type { Publisher, Rights } from '../publisher.ts'
import type { ReasonCode } from '../reason.ts'
import type { Subscriber, Subscription } from '../routing/subscription.ts'
import type { SessionKey, StoredWill } from '../sessions/session-store.ts'
import type { Meter } from './meter.ts'
import type { Transport } from './transport.ts'

/** One connection and who is behind it, as hooks and plugins see it. */
export interface Client extends Publisher {
  /** Tells a client from what is left of one: `if (publisher.kind === 'client')`. */
  readonly kind: 'client'
  /** The byte stream to the client. */
  readonly transport: Transport
  /** `new` until CONNECT, `connecting` until CONNACK, then `connected`, in the end `closed`. */
  readonly state: 'new' | 'connecting' | 'connected' | 'closed'
  /** The connection has ended, or is about to end. */
  readonly closed: boolean
  /** The client id; empty until CONNECT. */
  readonly clientId: string
  /** The broker made the client id up, because the client gave none; it tells an MQTT 5 client so. */
  readonly assignedId: boolean
  /** The user name: what authentication said, else what CONNECT says; null for none. */
  readonly username: string | null
  /** What authentication said that the client may do; null: nothing was said. */
  readonly rights: Rights | null
  /** The protocol level: 3 is MQTT 3.1, 4 is 3.1.1, 5 is 5.0. */
  readonly version: ProtocolVersion
  /**
   * The client is a bridge to another broker: the highest bit of its protocol level says so. What it publishes is not sent back to it, and messages keep the
   * RETAIN flag that they were published with, as if all its subscriptions had the options No Local and Retain As Published.
   */
  readonly bridge: boolean
  /**
   * The client's mount point, by which the broker knows what the client calls a topic; default: empty. A plugin sets it in `onConnect`, and puts it before the
   * client's topic filters and names by itself.
   */
  mountPoint: string
  /** The Keep Alive in seconds; 0: none. A plugin may lower it in `onConnect`; an MQTT 5 client is told so in CONNACK [MQTT-3.1.2-21]. */
  keepAlive: number
  /** The client's session, from CONNACK on, also after the connection has ended; null before. */
  readonly session: Session | null
  /** What is published when the connection does not end well; null: it has no will. */
  readonly will: StoredWill | null
  /** When the connection was accepted: milliseconds since the Unix epoch. */
  readonly acceptedAt: number
  /** When the last bytes came, by the broker's coarse clock: milliseconds since the Unix epoch. */
  readonly lastSeen: number
  /** The client's address, for logs. */
  readonly remoteAddress: string
  /** Counts what the client sends, where a plugin wants that; null: nobody does. Set by the plugin. */
  meter: Meter | null
  /**
   * A packet of which only the beginning has come: a number that changes with each. 0: there is none, or the broker itself is not
   * reading on. A watch that sees the same number again and again sees a client that sends its packet too slowly.
   */
  readonly unfinishedPacket: number
  /** Bytes that are kept for this connection and would be free without it, roughly. */
  readonly heldBytes: number
  /** Bytes that wait for the connection to take them. */
  readonly unwrittenBytes: number
  /** Messages of QoS 1 and 2 that the client has not yet acknowledged. */
  readonly inFlight: number
  /** Messages of QoS 1 and 2 that the client has published and the broker has not yet acknowledged. */
  readonly unanswered: number
  /** Messages that wait for the client; of a stored session those in flight too. */
  readonly queued: number
  /** More waits for the client than it should be sent on top of: its window is full or its bytes do not leave. */
  readonly congested: boolean
  /** Calls back once, when the client can take more; never, if the connection ends first. */
  whenReady(callback: () => void): void
  /**
   * Reads nothing more of it until `resumeReading` with the same name, the plugin's. What has been read is kept, so nothing is lost and
   * nothing overtakes; keep-alive does not run against it meanwhile.
   */
  pauseReading(name: string): void
  /** Reads on, if no plugin of another name has paused it. */
  resumeReading(name: string): void
  /**
   * Ends the connection. An MQTT 5 client gets the reason code, and `serverReference`, where it is to go, with 0x9C and 0x9D (default: none); `message` goes to the log.
   */
  close(code: ReasonCode, message: string, serverReference?: string): void
}

/** What the broker knows of one client beyond its connection, as hooks and plugins see it. */
export interface Session extends Subscriber, SessionKey, Publisher {
  /** Tells a session from a client. */
  readonly kind: 'session'
  /** The client id, which names the session. */
  readonly clientId: string
  /** The client's connection to this node; null while it has none here. */
  readonly client: Client | null
  /** The node that the client is connected to, where that is another one; null: no connection elsewhere is known. */
  readonly node: string | null
  /** The client is connected, here or at another node. */
  readonly online: boolean
  /** The user name of the client's last authentication here, also while it is not connected; null: none. */
  readonly username: string | null
  /** What its client's last authentication here said that it may do; null: nothing was said. */
  readonly rights: Rights | null
  /** The session outlives its connection, so the store keeps it. */
  readonly durable: boolean
  /** The number of the session's newest owner, as the store counts them; it rises with each take-over. */
  readonly epoch: number
  /** Milliseconds that the session outlives its connection; 0: not at all, `Infinity`: for ever. */
  readonly expiryMs: number
  /** What the session is subscribed to, by topic filter. */
  readonly subscriptions: ReadonlyMap<string, Subscription>
  /** The messages that wait here for the client's acknowledgements, the oldest first, at most so many; of a stored session its store has them. */
  waiting(limit: number): Message[]
}

/** Whether a publisher is a connected client, and not what is left of one when its will is due. */
export function isClient(publisher: Publisher): publisher is Client {
  return publisher.kind === 'client'
}

/** What is left of a client when its will, or a message that was held back, is due. */
export interface FormerClient extends Publisher {
  /** There is no client any more. */
  readonly kind?: undefined
}

/** Who publishes, told apart by `kind`. */
export type AnyPublisher = Client | FormerClient
