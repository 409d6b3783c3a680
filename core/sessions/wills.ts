import { type LatePublishHost, publishLate } from '../messages/late-publish.ts'
import { Message } from '../messages/message.ts'
import { type PublishFaultHost, publishFault } from '../messages/publish-fault.ts'
import type { Publisher, Rights } from '../publisher.ts'
import type { Clock } from '../time/clock.ts'
import type { StoredWill } from './session-store.ts'

/** What is used of the broker here. */
export interface WillsHost extends LatePublishHost, PublishFaultHost {
  readonly clock: Clock
}

/** Sends wills the way of a publish: rights, plugins, routing. There may be no client any more. */
export class Wills {
  readonly #host: WillsHost

  constructor(host: WillsHost) {
    this.#host = host
  }

  publish(clientId: string, { message: will, username, rights }: StoredWill): void {
    // What its session has heard since then counts: rights may have been taken away while the will waited.
    const session = this.#host.sessionOf(clientId)
    if (session?.seen === true && session.username === username) rights = session.rights
    const host = this.#host
    const { topic, payload, qos, retain, properties } = will
    // Its expiry counts from now, not from the CONNECT that brought it.
    const message = new Message({ topic, payload, qos, retain, properties, origin: 'will', clientId, receivedAt: host.clock.now() })
    const { hooks } = host
    const publisher: Publisher = { clientId, username, rights: rights as Rights | null }
    const fault = publishFault(host, publisher, message)
    if (fault !== undefined) {
      host.drop(clientId, message, 'refused', fault.reasonCode)
      return
    }
    if (hooks.onWill.isUsed() && hooks.onWill.call(publisher, message) === false) {
      host.drop(clientId, message, 'refused')
      return
    }
    publishLate(host, publisher, message)
  }
}
