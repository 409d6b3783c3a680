import type { QoS } from '../protocol/constants.ts'

/** How one subscriber gets a message. Made once for each subscriber of a topic and used for all its messages, so that a delivery allocates nothing. */
export class DeliveryTerms {
  /** The lower of the message's QoS and the subscription's [MQTT-3.8.4-8]. */
  readonly qos: QoS
  /** The RETAIN flag that it is sent with [MQTT-3.3.1-12]. */
  readonly retain: boolean
  /** The subscription identifiers; null for none [MQTT-3.3.4-3]. */
  readonly identifiers: readonly number[] | null
  /** The shared group through which it comes, as `$share/{name}/{filter}`; null for none. */
  readonly group: string | null

  constructor(qos: QoS, retain: boolean, identifiers: readonly number[] | null, group: string | null) {
    this.qos = qos
    this.retain = retain
    this.identifiers = identifiers
    this.group = group
  }
}
