/** Statements of MQTT 3.1.1 that no test of this broker can show, and why. */
export const exceptions = {
  '[MQTT3-2.3.1-2]':
    "client: which identifiers of its own are unused only the client knows; the broker's half is 2.3.1-4, and a QoS 2 identifier in use is a repeat (4.3.3-2)",
  '[MQTT3-2.3.1-3]': "client: a message sent again under another identifier is a new one; the broker's own re-sending is 4.4.0-1",
  '[MQTT3-3.1.2-23]': 'client: sends PINGREQ when it has nothing else to send; one that does not is disconnected (3.1.2-24)',
  '[MQTT3-4.5.0-2]': 'client: acknowledges what it receives; what it does not acknowledge stays in its session (4.4.0-1)',
  '[MQTT3-7.0.0-1]': 'does not apply: the broker opens no MQTT connection to other servers, so it is never a client',
  '[MQTT3-7.1.2-1]': "client: the transports that it supports; the broker's are 7.1.1-1",
}
