import type { QoS } from '../protocol/constants.ts'

/** What a client asked for with one filter. */
export interface Subscription {
  /** As the client gave it, with `$share/{name}/`. */
  readonly filter: string
  /** The QoS that was granted: messages come with this one at most. */
  readonly qos: QoS
  /** No Local: what the subscriber itself publishes is not sent to it [MQTT-3.8.3-3]. */
  readonly noLocal: boolean
  /** Retain As Published: messages keep the RETAIN flag that they were published with [MQTT-3.3.1-13]. */
  readonly retainAsPublished: boolean
  /** Retain Handling: retained messages are sent 0: at each subscribe, 1: at a new subscription only, 2: never [MQTT-3.3.1-9] to [MQTT-3.3.1-11]. */
  readonly retainHandling: 0 | 1 | 2
  /** The Subscription Identifier; 0: the subscription has none. */
  readonly identifier: number
}

/** Who subscribes: the broker's sessions. */
export interface Subscriber {
  /** The client id; of another node, its name. */
  readonly clientId: string
  /** The subscriber has a connection. */
  readonly online: boolean
}

/** One subscription as `onSubscribe` sees it; a plugin may lower `qos`. */
export interface SubscriptionAttempt {
  /** As the client gave it, with `$share/{name}/`. */
  readonly filter: string
  /** The QoS that was asked for; a tap may lower it. */
  qos: QoS
  /** No Local: what the subscriber itself publishes is not sent to it [MQTT-3.8.3-3]. */
  readonly noLocal: boolean
  /** Retain As Published: messages keep the RETAIN flag that they were published with [MQTT-3.3.1-13]. */
  readonly retainAsPublished: boolean
  /** Retain Handling: retained messages are sent 0: at each subscribe, 1: at a new subscription only, 2: never [MQTT-3.3.1-9] to [MQTT-3.3.1-11]. */
  readonly retainHandling: 0 | 1 | 2
  /** The Subscription Identifier; 0: the subscription has none. */
  readonly identifier: number
  /** The session already held this filter: it is replaced. */
  readonly existed: boolean
  /**
   * `session` (default): as long as the session; `connection`: never stored, gone with the connection; `none`: answered
   * with success, but nothing stays subscribed, because the plugin serves it by itself in `onSubscribed`.
   */
  lifetime: 'session' | 'connection' | 'none'
}
