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
