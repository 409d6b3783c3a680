import type { Done } from './done.ts'
import type { AedesPublishPacket, OwnPublishPacket } from './packet-types.ts'

/** Told of a message; the publisher's acknowledgement waits for the callback. */
export type Deliver = (packet: AedesPublishPacket, callback: () => void) => void

/** What the program's own subscriptions and messages go by. */
export interface MqHost {
  /** See `aedes.subscribe`. */
  subscribe(topic: string, deliver: Deliver, done?: () => void): void
  /** See `aedes.unsubscribe`. */
  unsubscribe(topic: string, deliver: Deliver, done?: () => void): void
  /** See `aedes.publish`. */
  publish(packet: OwnPublishPacket, done?: Done): void
}

/** The broker's messages in the form of an emitter, as `aedes.mq`. */
export class Mq {
  readonly #host: MqHost
  /** The broker has been closed. */
  closed: boolean

  constructor(host: MqHost) {
    this.#host = host
    this.closed = false
  }

  /** Subscribes the program: see `aedes.subscribe`. */
  on(topic: string, deliver: Deliver, done?: () => void): this {
    this.#host.subscribe(topic, deliver, done)
    return this
  }

  /** Ends a subscription of the program: see `aedes.unsubscribe`. */
  removeListener(topic: string, deliver: Deliver, done?: () => void): this {
    this.#host.unsubscribe(topic, deliver, done)
    return this
  }

  /** Publishes to everybody who has subscribed; nothing is retained. */
  emit(packet: OwnPublishPacket, done?: Done): this {
    this.#host.publish({ ...packet, retain: false }, done)
    return this
  }
}
