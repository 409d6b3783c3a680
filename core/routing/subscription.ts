import type { QoS } from '../protocol/constants.ts'

/** What a client asked for with one filter. */
export interface Subscription {
  /** As the client gave it, with `$share/{name}/`. */
  readonly filter: string
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: 0 | 1 | 2
  /** 0: none. */
  readonly identifier: number
}

/** Who subscribes: the broker's sessions. */
export interface Subscriber {
  readonly clientId: string
  /** It has a connection. */
  readonly online: boolean
}

/** One subscription as `onSubscribe` sees it; a plugin may lower `qos`. */
export interface SubscriptionAttempt {
  readonly filter: string
  qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: 0 | 1 | 2
  /** 0: none. */
  readonly identifier: number
  /** The session already held this filter: it is replaced. */
  readonly existed: boolean
  /**
   * `session` (default): as long as the session; `connection`: never stored, gone with the connection; `none`: answered
   * with success, but nothing stays subscribed, because the plugin serves it by itself in `onSubscribed`.
   */
  lifetime: 'session' | 'connection' | 'none'
}
