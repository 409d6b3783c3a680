import type { Connection } from '../../core/connection/connection.ts'
import type { HandlerHost } from '../../core/handlers/host.ts'
import { handleSubscribe } from '../../core/handlers/subscribe.ts'
import { handleUnsubscribe } from '../../core/handlers/unsubscribe.ts'
import { PacketType, type QoS } from '../../core/protocol/constants.ts'

/** What SUBACK or UNSUBACK would say of the one filter. */
type Told = (reasonCodes: readonly number[]) => void

/** Subscribes a client as if it had sent a SUBSCRIBE. No packet brings it, so none answers. */
export function subscribeFor(host: HandlerHost, client: Connection, filter: string, qos: QoS): Promise<number> {
  const subscriptions = [{ filter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 as const }]
  const packet = { type: PacketType.Subscribe, packetId: 0, subscriptions, properties: undefined }
  return answered(client, told => handleSubscribe(host, client, packet, told))
}

/** The same for UNSUBSCRIBE. */
export function unsubscribeFor(host: HandlerHost, client: Connection, filter: string): Promise<number> {
  const packet = { type: PacketType.Unsubscribe, packetId: 0, filters: [filter], properties: undefined }
  return answered(client, told => handleUnsubscribe(host, client, packet, told))
}

async function answered(client: Connection, handle: (told: Told) => void | Promise<void>): Promise<number> {
  if (client.state !== 'connected') throw new TypeError(`client ${JSON.stringify(client.clientId)} is not connected`)
  let said: number | undefined
  await handle(([code]) => void (said = code))
  if (said === undefined) throw new Error(`the session store did not take what was done for client ${JSON.stringify(client.clientId)}`)
  return said
}
