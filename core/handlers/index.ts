import type { Connection } from '../connection/connection.ts'
import type { PacketHandlers } from '../connection/connection-host.ts'
import type { ManyFilters } from '../protocol/many-filters.ts'
import type { Packet } from '../protocol/packets.ts'
import type { HandlerHost } from './host.ts'
import { handleManyFilters } from './many-filters.ts'
import { handlePacket } from './packet.ts'
import { PublishHandler } from './publish.ts'

/** What is done with inbound packets, one file for each kind. */
export class Handlers implements PacketHandlers {
  readonly publish: PublishHandler
  readonly #host: HandlerHost

  constructor(host: HandlerHost) {
    this.publish = new PublishHandler(host)
    this.#host = host
  }

  packet(connection: Connection, packet: Packet): void | Promise<void> {
    return handlePacket(this.#host, connection, packet)
  }

  manyFilters(connection: Connection, packet: ManyFilters): Promise<void> {
    return handleManyFilters(this.#host, connection, packet)
  }
}
