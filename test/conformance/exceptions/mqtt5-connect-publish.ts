/** Numbered statements of chapters 3.1 to 3.7 of MQTT 5 that no test of a broker can show, each with the reason. */
export const exceptions: Readonly<Record<string, string>> = {
  '[MQTT-3.1.2-20]': 'client: it has to send PINGREQ; what happens when it sends nothing is shown with MQTT-3.1.2-22',
  '[MQTT-3.2.2-4]': 'client: what it does when it has no session and is told Session Present 1',
  '[MQTT-3.2.2-5]': 'client: what it does with its session when it is told Session Present 0',
  '[MQTT-3.2.2-9]': 'server without QoS 1 or 2: this one has both, and never sends Maximum QoS',
  '[MQTT-3.2.2-10]': 'server without QoS 1 or 2: this one has both, and grants what is asked for',
  '[MQTT-3.2.2-11]': 'client: it must keep to a Maximum QoS, which this broker never sends',
  '[MQTT-3.2.2-12]': 'server without QoS 1 or 2: this one has both, so no Will QoS exceeds what it can',
  '[MQTT-3.3.2-10]': 'client: it has to accept the topic aliases that it allowed',
  '[MQTT-3.3.4-8]': 'client: it must not hold other packets back because it has used up its Receive Maximum',
}
