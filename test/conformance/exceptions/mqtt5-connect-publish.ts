/** Numbered statements of chapters 3.1 to 3.7 of MQTT 5 that no test of a broker can show, each with the reason. */
export const exceptions: Readonly<Record<string, string>> = {
  '[MQTT-3.1.2-20]': 'client: it has to send PINGREQ; what happens when it sends nothing is shown with MQTT-3.1.2-22',
  '[MQTT-3.2.2-4]': 'client: what it does when it has no session and is told Session Present 1',
  '[MQTT-3.2.2-5]': 'client: what it does with its session when it is told Session Present 0',
  '[MQTT-3.2.2-11]': 'client: it must keep to the Maximum QoS; that it is disconnected where it does not is shown with MQTT-3.2.2-9',
  '[MQTT-3.3.2-10]': 'client: it has to accept the topic aliases that it allowed',
  '[MQTT-3.3.4-8]': 'client: it must not hold other packets back because it has used up its Receive Maximum',
}
