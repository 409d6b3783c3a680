/** MQTT over WebSocket, which is a plugin of its own and not part of this version. */
export const websocketStatements = {
  '[MQTT-6.0.0-1]': 'transport: there is no WebSocket listener yet',
  '[MQTT-6.0.0-2]': 'transport: there is no WebSocket listener yet',
  '[MQTT-6.0.0-3]': 'client: it asks for the sub-protocol, and there is no WebSocket listener yet',
  '[MQTT-6.0.0-4]': 'transport: there is no WebSocket listener yet',
  '[MQTT3-6.0.0-1]': 'transport: there is no WebSocket listener yet',
  '[MQTT3-6.0.0-2]': 'transport: there is no WebSocket listener yet',
  '[MQTT3-6.0.0-3]': 'client: it asks for the sub-protocol, and there is no WebSocket listener yet',
  '[MQTT3-6.0.0-4]': 'transport: there is no WebSocket listener yet',
}
