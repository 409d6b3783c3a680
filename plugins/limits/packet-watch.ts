import type { Broker } from '../../core/broker.ts'
import type { Client } from '../../core/connection/client.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { LimitLog } from './limit-log.ts'

interface Unfinished {
  packet: number
  since: number
}

/**
 * Ends clients that begin a packet and never finish it. Keep-alive does not see them, because every byte counts there. All clients are
 * looked at now and then, so that reading costs nothing more.
 */
export class PacketWatch {
  readonly #broker: Broker
  readonly #timeoutMs: number
  readonly #log: LimitLog
  readonly #unfinished: WeakMap<Client, Unfinished>

  constructor(broker: Broker, timeoutMs: number, log: LimitLog) {
    this.#broker = broker
    this.#timeoutMs = timeoutMs
    this.#log = log
    this.#unfinished = new WeakMap()
  }

  /** How often `look` is to be called: a dripping client is found so much too late, at most twice that. */
  get everyMs(): number {
    return Math.min(1000, Math.ceil(this.#timeoutMs / 4))
  }

  look(): void {
    const now = this.#broker.clock.now()
    for (const client of this.#broker.clients) {
      const packet = client.unfinishedPacket
      if (packet === 0 || client.state === 'new') continue
      const known = this.#unfinished.get(client)
      if (known === undefined || known.packet !== packet) this.#unfinished.set(client, { packet, since: now })
      else if (now - known.since >= this.#timeoutMs) this.#end(client)
    }
  }

  #end(client: Client): void {
    const { clientId, remoteAddress: address } = client
    this.#log.hit('packetTimeout', 'clients are disconnected: a packet did not come whole in time', () => ({ clientId, address }))
    client.close(ReasonCode.KeepAliveTimeout, `a packet did not come whole within ${this.#timeoutMs} ms`)
  }
}
