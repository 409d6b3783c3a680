import { createHash } from 'node:crypto'
import type { Broker } from '../../core/broker.ts'
import type { Client } from '../../core/connection/client.ts'
import { type ClientBuckets, ClientMeter, type Metering } from './client-meter.ts'
import type { Rate } from './rate.ts'
import { TokenBucket } from './token-bucket.ts'

/** Clients that have gone and whose buckets are not full again. */
export const departedMax = 10_000

/** Gives each client its meter, and a client that comes again the one that it had. */
export class ClientRates {
  readonly #broker: Broker
  #messages: Rate | null
  #bytes: Rate | null
  #metering: Metering
  // In the order in which they went.
  readonly #departed: Map<string, ClientBuckets>

  constructor(broker: Broker, messages: Rate | null, bytes: Rate | null, metering: Metering) {
    this.#broker = broker
    this.#messages = messages
    this.#bytes = bytes
    this.#metering = metering
    this.#departed = new Map()
  }

  /** Whether any client has to be metered. */
  get used(): boolean {
    return this.#messages !== null || this.#bytes !== null || this.#metering.memory !== null
  }

  /** Other rates from now on, which every client begins anew with. */
  change(messages: Rate | null, bytes: Rate | null, overRate: Metering['overRate']): void {
    this.#messages = messages
    this.#bytes = bytes
    this.#metering = { ...this.#metering, overRate }
    this.#departed.clear()
    for (const client of this.#broker.clients) {
      if (client.meter instanceof ClientMeter) client.meter = null
      if (this.used && client.state === 'connected') client.meter = new ClientMeter(client, this.#fresh(), this.#metering)
    }
  }

  /** Clients that are remembered, for tests. */
  get departed(): number {
    return this.#departed.size
  }

  /** `onConnect`. */
  connect(client: Client): void {
    client.meter = new ClientMeter(client, this.#bucketsOf(client.clientId), this.#metering)
  }

  /** `onDisconnect`. */
  disconnected({ clientId, meter }: Client): void {
    if (!(meter instanceof ClientMeter) || isFull(meter.buckets)) return
    const key = keyOf(clientId)
    this.#departed.delete(key)
    this.#forget()
    this.#departed.set(key, meter.buckets)
  }

  #bucketsOf(clientId: string): ClientBuckets {
    // The connection that is about to be taken over.
    const meter = this.#broker.clientOf(clientId)?.meter
    if (meter instanceof ClientMeter) return meter.buckets
    const key = keyOf(clientId)
    const known = this.#departed.get(key)
    if (known !== undefined) {
      this.#departed.delete(key)
      return known
    }
    return this.#fresh()
  }

  #fresh(): ClientBuckets {
    return { messages: this.#bucket(this.#messages), bytes: this.#bucket(this.#bytes) }
  }

  #bucket(rate: Rate | null): TokenBucket | null {
    return rate === null ? null : new TokenBucket(this.#broker, rate.perSecond, rate.burst)
  }

  #forget(): void {
    for (const [clientId, buckets] of this.#departed) {
      if (this.#departed.size < departedMax && !isFull(buckets)) return
      this.#departed.delete(clientId)
    }
  }
}

// A client id may have 65,535 bytes; what is remembered of 10,000 that have gone takes some 2 MB.
function keyOf(clientId: string): string {
  return clientId.length > 64 ? createHash('sha256').update(clientId).digest('base64') : clientId
}

function isFull({ messages, bytes }: ClientBuckets): boolean {
  return messages?.full !== false && bytes?.full !== false
}
