import type { Connection } from '../connection/connection.ts'
import type { PacketHandlers } from '../connection/connection-host.ts'
import type { PendingPublish } from '../connection/pending-publish.ts'
import type { InboundPublish } from '../protocol/inbound-publish.ts'
import type { ManyFilters } from '../protocol/many-filters.ts'
import type { Packet } from '../protocol/packets.ts'
import type { HandlerHost } from './host.ts'
import { handleManyFilters } from './many-filters.ts'
import { handlePacket } from './packet.ts'
import { completePublish, handlePublish } from './publish.ts'

/** What is done with inbound packets, one function for each kind. */
export class Handlers implements PacketHandlers {
  readonly #host: HandlerHost

  constructor(host: HandlerHost) {
    this.#host = host
  }

  publish(connection: Connection, publish: InboundPublish): PendingPublish | null {
    return handlePublish(this.#host, connection, publish)
  }

  complete(connection: Connection, { message, packetId, qos, verdict }: PendingPublish): void {
    completePublish(this.#host, connection, message, packetId, qos, verdict)
  }

  packet(connection: Connection, packet: Packet): void | Promise<void> {
    return handlePacket(this.#host, connection, packet)
  }

  manyFilters(connection: Connection, packet: ManyFilters): Promise<void> {
    return handleManyFilters(this.#host, connection, packet)
  }
}
