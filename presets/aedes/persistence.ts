import { Readable } from 'node:stream'
import type { AedesPublishPacket, Subscription } from './packet-types.ts'

/** What a broker keeps. */
export interface PersistenceHost {
  /** What the session of a client is subscribed to, where it outlives the connection and this node knows it; else nothing. */
  subscriptionsOf(clientId: string): Subscription[]
  /** The retained messages whose topics match a topic filter. */
  retained(filter: string): AsyncIterable<AedesPublishPacket>
}

/** What is kept, to be read as by a persistence of aedes. How it is kept says `config`; what is not here can be asked of `aedes.running`. */
export class Persistence {
  readonly #host: PersistenceHost

  constructor(host: PersistenceHost) {
    this.#host = host
  }

  /** What the session of a client is subscribed to, where it outlives the connection and this node knows it; else an empty list. `nl`, `rap` and `rh` are undefined where they are not set. */
  async subscriptionsByClient({ id }: { readonly id: string }): Promise<Subscription[]> {
    return this.#host.subscriptionsOf(id)
  }

  /** The retained messages whose topics match a topic filter, as a stream of packets. */
  createRetainedStream(filter: string): Readable {
    return this.createRetainedStreamCombi([filter])
  }

  /** The same for several topic filters; a message that two of them match comes twice. */
  createRetainedStreamCombi(filters: readonly string[]): Readable {
    return Readable.from(this.#all(filters))
  }

  async *#all(filters: readonly string[]): AsyncGenerator<AedesPublishPacket> {
    for (const filter of filters) yield* this.#host.retained(filter)
  }
}
