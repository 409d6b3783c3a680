import type { Connection } from '../connection/connection.ts'
import { MqttError } from '../errors.ts'
import { PacketType } from '../protocol/constants.ts'
import type { Packet } from '../protocol/packets.ts'
import { ReasonCode } from '../reason.ts'
import { handlePuback, handlePubcomp, handlePubrec, handlePubrel } from './acks.ts'
import { handleAuth } from './auth.ts'
import { handleConnect } from './connect.ts'
import { handleDisconnect } from './disconnect.ts'
import type { HandlerHost } from './host.ts'
import { handleSubscribe } from './subscribe.ts'
import { handleUnsubscribe } from './unsubscribe.ts'

/** Every inbound packet but PUBLISH, which has its own way in. A promise: what stands behind it waits. */
export function handlePacket(host: HandlerHost, client: Connection, packet: Packet): void | Promise<void> {
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
