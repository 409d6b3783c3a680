import type { AedesPublishPacket, Subscription } from './packet-types.ts'
import { acceptedPacket } from './packets.ts'
import type { PersistenceHost } from './persistence.ts'
import type { Wiring } from './wiring.ts'

// Retained messages that are read at once.
const pageSize = 100

/** What the broker keeps, in the form of aedes' packets. */
export class Kept implements PersistenceHost {
  readonly #wiring: Wiring

  constructor(wiring: Wiring) {
    this.#wiring = wiring
  }

  subscriptionsOf(clientId: string): Subscription[] {
    const session = this.#wiring.broker.sessionOf(clientId)
    if (session === undefined || !session.durable) return []
    return [...session.subscriptions.values()].map(({ requested, filter, qos, noLocal, retainAsPublished, retainHandling }) => ({
      topic: requested ?? filter,
      qos,
      rh: retainHandling || undefined,
      rap: retainAsPublished || undefined,
      nl: noLocal || undefined,
    }))
  }

  async *retained(filter: string): AsyncGenerator<AedesPublishPacket> {
    const cursor = this.#wiring.broker.services.find('retained')?.match(filter)
    for (let done = cursor === undefined; !done; ) {
      const page = await cursor!.next(pageSize)
      for (const message of page.messages) yield acceptedPacket(this.#wiring, message, undefined)
      done = page.done
    }
  }
}
