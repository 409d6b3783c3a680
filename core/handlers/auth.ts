import type { Client } from '../connection/client.ts'
import { MqttError } from '../errors.ts'
import type { AuthPacket } from '../protocol/packets.ts'
import { ReasonCode } from '../reason.ts'
import { exchange } from './exchange.ts'

/**
 * Re-authentication of a connected client (4.12.1): same method, new credentials; failure closes the connection. Meanwhile
 * everything else goes on under the old ones, so nothing waits for it.
 */
export function handleAuth(client: Client, packet: AuthPacket): void {
  const method = packet.properties?.authenticationMethod
  if (client.authMethod === undefined || method !== client.authMethod) {
    throw new MqttError(ReasonCode.ProtocolError, 'AUTH with another method than CONNECT had') // [MQTT-4.12.0-7] [MQTT-4.12.1-1]
  }
  if (packet.reasonCode !== ReasonCode.ReAuthenticate || client.reauthenticating) {
    throw new MqttError(ReasonCode.ProtocolError, 'AUTH that nobody asked for')
  }
  client.reauthenticating = true
  reauthenticate(client, packet).catch(error => client.fail(error))
}

async function reauthenticate(client: Client, packet: AuthPacket): Promise<void> {
  const result = await exchange(client, packet)
  client.reauthenticating = false
  if (client.closed) return
  if ('refusal' in result) {
    client.close(result.refusal.reasonCode, result.refusal.reasonString ?? 're-authentication failed') // [MQTT-4.12.1-2]
    return
  }
  client.admit(result.admission)
  if (client.session !== null) client.broker.authority.admittedAgain(client.session)
  client.sender.auth(ReasonCode.Success, result.data)
}
