import type { Connection } from '../connection/connection.ts'
import { filtersPerTurn } from '../connection/turns.ts'
import type { ManyFilters } from '../protocol/many-filters.ts'
import type { HandlerHost } from './host.ts'
import { handlePacket } from './packet.ts'

/** Reads a long SUBSCRIBE or UNSUBSCRIBE in slices, so that nobody else waits for all of it, and handles it. */
export async function handleManyFilters(host: HandlerHost, client: Connection, packet: ManyFilters): Promise<void> {
  const { turns, hooks } = host
  for (;;) {
    await turns.next()
    if (client.closed) return
    const whole = packet.read(filtersPerTurn)
    if (whole === null) continue
    if (client.traced) hooks.onPacketReceived.call(client, whole)
    return handlePacket(host, client, whole)
  }
}
