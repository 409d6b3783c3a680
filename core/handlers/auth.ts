import type { Connection } from '../connection/connection.ts'
import { MqttError } from '../errors.ts'
import type { AuthPacket } from '../protocol/packets.ts'
import { ReasonCode } from '../reason.ts'
import { exchange } from './exchange.ts'
import type { HandlerHost } from './host.ts'

/**
 * Re-authentication of a connected client (4.12.1): same method, new credentials; failure closes the connection. Meanwhile
 * everything else goes on under the old ones, so nothing waits for it.
 */
export function handleAuth(host: HandlerHost, client: Connection, packet: AuthPacket): void {
  const method = packet.properties?.authenticationMethod
  if (client.auth === null || method !== client.auth.method) {
    throw new MqttError(ReasonCode.ProtocolError, 'AUTH with another method than CONNECT had') // [MQTT-4.12.0-7] [MQTT-4.12.1-1]
  }
  if (packet.reasonCode !== ReasonCode.ReAuthenticate || client.auth.again) {
    throw new MqttError(ReasonCode.ProtocolError, 'AUTH that nobody asked for')
  }
  client.auth.again = true
  reauthenticate(host, client, packet).catch(error => client.fail(error))
}

async function reauthenticate(host: HandlerHost, client: Connection, packet: AuthPacket): Promise<void> {
  const result = await exchange(host, client, packet)
  client.auth!.again = false
  if (client.closed) return
  if ('refusal' in result) {
    client.close(result.refusal.reasonCode, result.refusal.reasonString ?? 're-authentication failed') // [MQTT-4.12.1-2]
    return
  }
  client.admit(result.admission)
  if (client.session !== null) host.authority.admittedAgain(client.session)
  client.sender.auth(ReasonCode.Success, result.data)
}
