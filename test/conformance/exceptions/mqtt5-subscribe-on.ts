/** Numbered statements of chapters 3.8 to 6 of MQTT 5 that no test of the broker in memory can show, each with the reason. */
export const exceptions: Readonly<Record<string, string>> = {
  '[MQTT-4.2-1]': 'transport: every listener is one that carries an ordered, lossless stream of bytes, TCP first',
  '[MQTT-4.5.0-2]': 'client: it must acknowledge what it gets; what the broker does where it does not is shown with MQTT-4.4.0-1',
}
