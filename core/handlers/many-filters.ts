import type { Client } from '../connection/client.ts'
import { filtersPerTurn } from '../connection/turns.ts'
import type { ManyFilters } from '../protocol/many-filters.ts'
import { handlePacket } from './index.ts'

/** Reads a long SUBSCRIBE or UNSUBSCRIBE in slices, so that nobody else waits for all of it, and handles it. */
export async function handleManyFilters(client: Client, packet: ManyFilters): Promise<void> {
  const { turns, hooks } = client.broker
  for (;;) {
    await turns.next()
    if (client.closed) return
    const whole = packet.read(filtersPerTurn)
    if (whole === null) continue
    if (client.traced) hooks.onPacketReceived.call(client, whole)
    return handlePacket(client, whole)
  }
}
