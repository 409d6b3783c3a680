import { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { Connection } from './connection.ts'
import type { Done } from './done.ts'
import type { OwnPublishPacket, SubscribePacket, Subscription, Subscriptions } from './packet-types.ts'

/** A topic filter, by itself or in a subscription. */
export type Topic = string | Pick<Subscription, 'topic'>

/**
 * One connection to a broker of this API, which is `client.broker`. Events: `connected`, when the client may be used, and `error`, with what the connection ended by; nobody need listen to
 * the latter.
 */
export class Client extends EventEmitter<ClientEvents> {
  /** The client id; null until CONNECT has been read, and for a client that was refused before it was authenticated. */
  id: string
  /** Clean Session, as CONNECT said. Default: true. */
  clean: boolean
  /** The protocol level, 3, 4 or 5; null until CONNECT has been read. */
  version: number
  /** The stream that the client is connected by. */
  readonly conn: Connection
  /** The request that a WebSocket began with, where it was handed to `handle`. */
  readonly req: IncomingMessage | undefined
  /** CONNECT has come, and not all that waited for the client is sent. */
  connecting: boolean
  /** The client has got all that waited for it, and its connection has not ended. */
  connected: boolean
  /** The connection has ended. */
  closed: boolean

  /** Takes a connection, as `aedes.handle` does. */
  constructor(broker: Client['broker'], stream: Connection, request?: IncomingMessage) {
    super()
    // Typed as aedes has them, whose users do not expect null.
    this.id = null as unknown as string
    this.version = null as unknown as number
    this.clean = true
    this.conn = stream
    this.req = request
    this.connecting = false
    this.connected = false
    this.closed = false
    this.broker = broker
    broker.wiring.take(this)
  }

  /** Sends a message to this client, whatever it has subscribed to. `done` is called when it is on its way. RETAIN is never set. */
  publish(packet: OwnPublishPacket, done: Done = nothing): void {
    this.link.publish(packet, done)
  }

  /**
   * Subscribes the client, as if it had sent a SUBSCRIBE: `authorizeSubscribe` is asked. No SUBACK is sent. One that is refused is no error, and shows as QoS 128 in the
   * event `subscribe`; `nl`, `rap` and `rh` can only be asked for by a client itself, so they are an error (`ERR_AEDES_OPTION`).
   */
  subscribe(subscriptions: Subscription | Subscription[] | Subscriptions | SubscribePacket, done: Done = nothing): void {
    const list =
      'subscriptions' in subscriptions ? subscriptions.subscriptions : Array.isArray(subscriptions) ? subscriptions : [subscriptions]
    this.link.whenConnected(() => this.link.filters.subscribe(list), done)
  }

  /** Unsubscribes the client, as if it had sent an UNSUBSCRIBE. No UNSUBACK is sent. */
  unsubscribe(subscriptions: Topic | Topic[] | { unsubscriptions: Topic[] }, done: Done = nothing): void {
    const given = typeof subscriptions === 'object' && 'unsubscriptions' in subscriptions ? subscriptions.unsubscriptions : subscriptions
    const topics = (Array.isArray(given) ? given : [given]).map(one => (typeof one === 'string' ? one : one.topic))
    this.link.whenConnected(() => this.link.filters.unsubscribe(topics), done)
  }

  /** Ends the connection; its will is sent, because the client has not said that it goes. `done` is called when it has ended. */
  close(done?: () => void): void {
    this.link.close()
    done?.()
  }

  /** Takes out of the client's queue what waits for it; what is on its way stays. */
  emptyOutgoingQueue(done: Done = nothing): void {
    this.link.emptyQueue().then(() => done(), done)
  }
}

function nothing(): void {}

/** The events of a client. */
export interface ClientEvents {
  /** The client has got all that waited for it. */
  connected: []
  /** What the connection ended by. */
  error: [error: Error]
}
