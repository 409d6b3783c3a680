import type { Config } from '../index.ts'
import type { Client } from './client.ts'
import type { AedesPublishPacket, ConnectPacket, PublishPacket, Subscription } from './packet-types.ts'

/** When each broker of a cluster was last heard of, by id: milliseconds since the Unix epoch. */
export interface Brokers {
  [brokerId: string]: number
}

/** Why a client is not let in: the return codes of MQTT 3.1.1, under aedes' names. An MQTT 5 client is told the reason code that fits. */
export const AuthErrorCode = {
  UNNACCEPTABLE_PROTOCOL: 1,
  IDENTIFIER_REJECTED: 2,
  SERVER_UNAVAILABLE: 3,
  BAD_USERNAME_OR_PASSWORD: 4,
  NOT_AUTHORIZED: 5,
} as const
/** One of the return codes. */
export type AuthErrorCode = (typeof AuthErrorCode)[keyof typeof AuthErrorCode]

/** What `authenticate` may refuse a client with: `returnCode` 2 to 5; any other is 5. An MQTT 5 client is told `reasonCode` where it is 0x80 to 0xFF, and with a `serverReference` to go there (0x9C, or 0x9D). */
export type AuthenticateError = Error & { returnCode: AuthErrorCode; reasonCode?: number; serverReference?: string }

/** Asked when a CONNECT has been read, before anything else. An error raises `connectionError`; neither error nor success closes the connection. */
export type PreConnectHandler = (client: Client, packet: ConnectPacket, callback: (error: Error | null, success?: boolean) => void) => void

/** Asked who a client is, after `preConnect`. */
export type AuthenticateHandler = (
  client: Client,
  username: string | undefined,
  password: Buffer | undefined,
  done: (error: AuthenticateError | Error | null, success?: boolean | null) => void,
) => void

/** Asked about each message of a client and about its will, which it may change; an error closes the client's connection. `client` is null for a will whose client is long gone. */
export type AuthorizePublishHandler = (client: Client | null, packet: PublishPacket, callback: (error?: Error | null) => void) => void

/** Asked about each topic filter that a client subscribes to, also about those of a session that is resumed. Null in place of the subscription refuses it; an error closes the connection. */
export type AuthorizeSubscribeHandler = (
  client: Client,
  subscription: Subscription,
  callback: (error: Error | null, subscription?: Subscription | null) => void,
) => void

/** Asked about each message on its way to each client, which it may change for that client. Nothing in place of the packet leaves the client out. */
export type AuthorizeForwardHandler = (client: Client, packet: AedesPublishPacket) => AedesPublishPacket | null | undefined | void

/** Told of each message that has been accepted; the publisher's acknowledgement waits for the callback. `client` is null where no client published it. */
export type PublishedHandler = (packet: AedesPublishPacket, client: Client | null, callback: (error?: Error | null) => void) => void

/** The options of aedes, as far as they mean something here; one that does not is refused by name, with what to do in its place. */
export interface AedesOptions {
  /** Names this broker, in `$SYS/{id}/…` too. Default: a random UUID. */
  id?: string
  /** Taken, and without effect: no subscriber waits for another one here. */
  concurrency?: number
  /** Milliseconds between two messages to `$SYS/{id}/heartbeat`. Default: 60,000. */
  heartbeatInterval?: number
  /** Milliseconds that a new connection has until its CONNECT has been read. Default: 30,000. */
  connectTimeout?: number
  /** Milliseconds after which a client is disconnected that takes nothing of what is sent to it; 0: never. Default: 60,000. */
  drainTimeout?: number
  /** The longest Keep Alive in seconds that a client may ask for; 0: any. An MQTT 5 client that asks for more is told to use this one. Default: 0. */
  keepaliveLimit?: number
  /** QoS 1 and 2 messages that a client may have on the way to the broker at once; 0: 65,535. Default: 1000. */
  maxInflightInbound?: number
  /** Characters that the client id of an MQTT 3.1 client may have. Default: 23. */
  maxClientsIdLength?: number
  /** Levels that a topic may have, 1 to 100. Default: 100. */
  maxTopicLevels?: number
  /** See `Aedes.preConnect`. */
  preConnect?: PreConnectHandler
  /** See `Aedes.authenticate`. */
  authenticate?: AuthenticateHandler
  /** See `Aedes.authorizePublish`. */
  authorizePublish?: AuthorizePublishHandler
  /** See `Aedes.authorizeSubscribe`. */
  authorizeSubscribe?: AuthorizeSubscribeHandler
  /** See `Aedes.authorizeForward`. */
  authorizeForward?: AuthorizeForwardHandler
  /** See `Aedes.published`. */
  published?: PublishedHandler
  /**
   * The config of this broker, laid over what the options above come to: `{ preset: 'standalone' }` keeps sessions on disk, `{ redis: { url } }` in Redis, and plugins
   * go to `plugins`. Default: everything in memory, no listener, no log.
   */
  config?: Config
}
