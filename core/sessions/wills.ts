import type { Broker } from '../broker.ts'
import type { Publisher, Rights } from '../hooks.ts'
import { publishLate } from '../messages/late-publish.ts'
import { Message } from '../messages/message.ts'
import { publishFault } from '../messages/publish-fault.ts'
import type { Due, StoredWill } from './session-store.ts'

/** Sends wills the way of a publish: rights, plugins, routing. There may be no client any more. */
export class Wills {
  readonly #broker: Broker

  constructor(broker: Broker) {
    this.#broker = broker
  }

  /** What the store says has come due. */
  due(found: readonly Due[]): void {
    for (const due of found) {
      if (due.kind === 'will') this.publish(due.clientId, due.will)
      else this.#broker.roster.sessionEnded(due.session, null)
    }
  }

  publish(clientId: string, { message: will, username, rights }: StoredWill): void {
    // What its session has heard since then counts: rights may have been taken away while the will waited.
    const session = this.#broker.roster.get(clientId)
    if (session?.seen === true && session.username === username) rights = session.rights
    const broker = this.#broker
    const { topic, payload, qos, retain, properties } = will
    // Its expiry counts from now, not from the CONNECT that brought it.
    const message = new Message({ topic, payload, qos, retain, properties, origin: 'will', clientId, receivedAt: broker.clock.now() })
    const { hooks } = broker
    const publisher: Publisher = { clientId, username, rights: rights as Rights | null }
    if (publishFault(broker, publisher, message) !== undefined) {
      broker.drop(clientId, message, 'refused')
      return
    }
    if (hooks.onWill.isUsed() && hooks.onWill.call(publisher, message) === false) {
      broker.drop(clientId, message, 'refused')
      return
    }
    publishLate(broker, publisher, message)
  }
}
