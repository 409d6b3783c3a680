import type { Connection } from '../connection/connection.ts'
import { MqttError } from '../errors.ts'
import type { DisconnectPacket } from '../protocol/packets.ts'
import { ReasonCode } from '../reason.ts'
import { expiryToMs } from './connect.ts'
import type { HandlerHost } from './host.ts'

/** The client goes in good order: no will, unless it asks for it [MQTT-3.14.4-3]. */
export function handleDisconnect(host: HandlerHost, client: Connection, { reasonCode, properties }: DisconnectPacket): void {
  const session = client.session!
  const expiry = properties?.sessionExpiry
  if (expiry !== undefined) {
    if (session.expiryMs === 0 && expiry !== 0) {
      throw new MqttError(ReasonCode.ProtocolError, 'DISCONNECT raises a Session Expiry Interval of 0') // [MQTT-3.14.2-2]
    }
    session.expiryMs = Math.min(expiryToMs(expiry), host.settings.mqtt.sessionExpiryMax ?? Number.POSITIVE_INFINITY)
  }
  client.end({ code: reasonCode, message: 'disconnected', by: 'client' }, reasonCode !== ReasonCode.NormalDisconnection)
}
