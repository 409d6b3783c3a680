import type { Connection } from '../connection/connection.ts'
import type { UsedIdentifiers } from '../connection/used-identifiers.ts'
import { MqttError } from '../errors.ts'
import { PacketType } from '../protocol/constants.ts'
import type { AckPacket } from '../protocol/packets.ts'
import { ReasonCode } from '../reason.ts'
import { Handshake } from '../sessions/window.ts'
import type { HandlerHost } from './host.ts'

/** PUBACK ends a QoS 1 delivery. */
export function handlePuback(client: Connection, { packetId }: AckPacket): void {
  const slot = client.session!.window!.find(packetId)
  if (slot === undefined || slot.handshake === Handshake.Gated) return
  if (slot.handshake !== Handshake.AwaitPuback) throw wrongAck('PUBACK', packetId)
  client.session!.finish(slot)
}

/** PUBREC: from now on PUBREL is owed, once the store knows that [MQTT-4.3.3-4]. */
export function handlePubrec(client: Connection, { packetId, reasonCode }: AckPacket): void {
  const session = client.session!
  const slot = session.window!.find(packetId)
  if (slot === undefined || slot.handshake === Handshake.Gated) {
    // An error ends the handshake, whoever knows of it [MQTT-4.3.3-4]. Anything else is answered, so that the client can let go of it.
    if (reasonCode < 0x80) client.sender.ack(PacketType.Pubrel, packetId, unknown(client.usedOutbound, packetId))
    return
  }
  if (slot.handshake === Handshake.AwaitPuback) throw wrongAck('PUBREC', packetId)
  if (reasonCode >= 0x80) {
    session.finish(slot)
    return
  }
  // PUBREL will leave when the store has the first PUBREC.
  if (slot.handshake === Handshake.Releasing) return
  if (slot.handshake === Handshake.AwaitPubcomp) {
    client.sender.pubrel(packetId)
    return
  }
  session.release(slot)
}

/** PUBCOMP ends a QoS 2 delivery. */
export function handlePubcomp(client: Connection, { packetId }: AckPacket): void {
  const slot = client.session!.window!.find(packetId)
  if (slot === undefined || slot.handshake === Handshake.Gated) return
  // Nobody has been told to release it yet.
  if (slot.handshake === Handshake.AwaitPuback || slot.handshake === Handshake.AwaitPubrec) throw wrongAck('PUBCOMP', packetId)
  client.session!.finish(slot)
}

/** PUBREL: the client has let go of its message; its identifier may be used again once the store has forgotten it. */
export function handlePubrel(host: HandlerHost, client: Connection, packet: AckPacket): void {
  const { packetId } = packet
  const session = client.session!
  const known = session.received?.get(packetId)
  // Answered now, its identifier would be taken again by the PUBREC that is yet to come, and the next message under it lost.
  if (known === 'pending') return client.acks.afterPubrec(packetId, () => handlePubrel(host, client, packet))
  if (known === undefined) {
    client.sender.ack(PacketType.Pubcomp, packetId, unknown(client.usedInbound, packetId))
    return
  }
  const done = session.durable ? host.sessions.forget(session, packetId) : undefined
  if (done === undefined) client.acks.complete(session, packetId)
  else
    done.then(
      () => client.acks.complete(session, packetId),
      error => host.storeFailed(session, error, client),
    )
}

/**
 * What is said of an identifier that is not known. Where the session was resumed and this connection has not used it, the handshake was over
 * before and only its last packet was lost: that is no error (MQTT 5, 3.6.2.1), and clients tell their user of one.
 */
function unknown(used: UsedIdentifiers | null, packetId: number): ReasonCode {
  return used === null || used.has(packetId) ? ReasonCode.PacketIdentifierNotFound : ReasonCode.Success
}

function wrongAck(name: string, packetId: number): MqttError {
  return new MqttError(ReasonCode.ProtocolError, `${name} does not fit the QoS of packet identifier ${packetId}`, false)
}
