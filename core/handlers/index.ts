import type { Connection } from '../connection/connection.ts'
import type { PacketHandlers } from '../connection/connection-host.ts'
import { filtersPerTurn } from '../connection/turns.ts'
import { MqttError } from '../errors.ts'
import { PacketType } from '../protocol/constants.ts'
import type { ManyFilters } from '../protocol/many-filters.ts'
import type { Packet } from '../protocol/packets.ts'
import { ReasonCode } from '../reason.ts'
import { handlePuback, handlePubcomp, handlePubrec, handlePubrel } from './acks.ts'
import { handleAuth } from './auth.ts'
import { handleConnect } from './connect.ts'
import { handleDisconnect } from './disconnect.ts'
import type { HandlerHost } from './host.ts'
import { PublishHandler } from './publish.ts'
import { handleSubscribe } from './subscribe.ts'
import { handleUnsubscribe } from './unsubscribe.ts'

/** What is done with inbound packets, one file for each kind. */
export class Handlers implements PacketHandlers {
  readonly publish: PublishHandler
  readonly #host: HandlerHost

  constructor(host: HandlerHost) {
    this.publish = new PublishHandler(host)
    this.#host = host
  }

  /** Every inbound packet but PUBLISH, which has its own way in. A promise: what stands behind it waits. */
  packet(client: Connection, packet: Packet): void | Promise<void> {
    const host = this.#host
    switch (packet.type) {
      case PacketType.Puback:
        return handlePuback(client, packet)
      case PacketType.Pubrec:
        return handlePubrec(client, packet)
      case PacketType.Pubrel:
        return handlePubrel(host, client, packet)
      case PacketType.Pubcomp:
        return handlePubcomp(client, packet)
      case PacketType.Pingreq:
        return client.sender.pingresp()
      case PacketType.Subscribe:
        return handleSubscribe(host, client, packet)
      case PacketType.Unsubscribe:
        return handleUnsubscribe(host, client, packet)
      case PacketType.Disconnect:
        return handleDisconnect(host, client, packet)
      case PacketType.Auth:
        return handleAuth(host, client, packet)
      case PacketType.Connect:
        if (client.state !== 'new') throw new MqttError(ReasonCode.ProtocolError, 'a second CONNECT', false) // [MQTT-3.1.0-2]
        return handleConnect(host, client, packet)
      default:
        throw new MqttError(ReasonCode.ProtocolError, 'a packet that only a server may send', false)
    }
  }

  /** Reads a long SUBSCRIBE or UNSUBSCRIBE in slices, so that nobody else waits for all of it, and handles it. */
  async manyFilters(client: Connection, packet: ManyFilters): Promise<void> {
    const { turns, hooks } = this.#host
    for (;;) {
      await turns.next()
      if (client.closed) return
      const whole = packet.read(filtersPerTurn)
      if (whole === null) continue
      if (client.traced) hooks.onPacketReceived.call(client, whole)
      return this.packet(client, whole)
    }
  }
}
