import { Readable } from 'node:stream'
import type { AedesPublishPacket, Subscription } from './packet-types.ts'
import { acceptedPacket } from './packets.ts'
import type { Wiring } from './wiring.ts'

// Retained messages that are read at once.
const pageSize = 100

/** What is kept, to be read as by a persistence of aedes. How it is kept says `config`; what is not here can be asked of `aedes.running`. */
export class Persistence {
  readonly #wiring: Wiring

  constructor(wiring: Wiring) {
    this.#wiring = wiring
  }

  /** What the session of a client is subscribed to, where it outlives the connection and this node knows it; else an empty list. `nl`, `rap` and `rh` are undefined where they are not set. */
  async subscriptionsByClient({ id }: { readonly id: string }): Promise<Subscription[]> {
    const session = this.#wiring.broker.sessionOf(id)
    if (session === undefined || !session.durable) return []
    return [...session.subscriptions.values()].map(({ requested, filter, qos, noLocal, retainAsPublished, retainHandling }) => ({
      topic: requested ?? filter,
      qos,
      rh: retainHandling || undefined,
      rap: retainAsPublished || undefined,
      nl: noLocal || undefined,
    }))
  }

  /** The retained messages whose topics match a topic filter, as a stream of packets. */
  createRetainedStream(filter: string): Readable {
    return this.createRetainedStreamCombi([filter])
  }

  /** The same for several topic filters; a message that two of them match comes twice. */
  createRetainedStreamCombi(filters: readonly string[]): Readable {
    return Readable.from(this.#retained(filters))
  }

  async *#retained(filters: readonly string[]): AsyncGenerator<AedesPublishPacket> {
    const { broker } = this.#wiring
    const store = broker.services.find('retained')
    for (const filter of store === undefined ? [] : filters) {
      const cursor = store!.match(filter)
      for (let done = false; !done; ) {
        const page = await cursor.next(pageSize)
        for (const message of page.messages) yield acceptedPacket(this.#wiring, message, undefined)
        done = page.done
      }
    }
  }
}
