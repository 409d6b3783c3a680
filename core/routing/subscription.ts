import type { QoS } from '../protocol/constants.ts'

/** What a client asked for with one filter. */
export interface Subscription {
  /** The topic filter by which messages are matched, with `$share/{name}/`. */
  readonly filter: string
  /** The topic filter as the client gave it, where a tap on `onSubscribe` has put another one in its place; absent: it is `filter`. */
  readonly requested?: string
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

/** One subscription as `onSubscribe` sees it; a plugin may lower `qos`, and replace `filter`. */
export interface SubscriptionAttempt {
  /** The topic filter as the client gave it, with `$share/{name}/`: the client's rights are judged by it. */
  readonly requested: string
  /**
   * The topic filter by which messages are matched, with `$share/{name}/`: at first the client's own. A tap may replace it (a mount point), by one that is
   * shared where the client's own is shared.
   */
  filter: string
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

/** One topic filter of an UNSUBSCRIBE as `onUnsubscribe` sees it. */
export interface Unsubscription {
  /** The topic filter as the client gave it. */
  readonly requested: string
  /** The topic filter that is unsubscribed from, where a tap puts one here; else that of the subscription that the client knows as `requested`. */
  filter: string
}
