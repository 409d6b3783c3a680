import mqttPacket from 'mqtt-packet'
import type { Bench } from 'tinybench'
import { Message } from '../../../core/messages/message.ts'
import { encodePublish } from '../../../core/protocol/encoder.ts'

// Writes a PUBLISH: once anew, as for a message that a plugin changed, and once more for another receiver of the same message,
// which is what fan-out does.

export const title = 'a PUBLISH of 64 bytes'

export function add(bench: Bench): void {
  const payload = Buffer.alloc(64)
  const topic = 'sensors/kitchen/temperature'
  const properties = { contentType: 'text/plain', userProperties: [['unit', 'degrees'] as const] }
  bench.add('encoded anew, 3.1.1', () => void encodePublish(topic, payload, 1, false, false, undefined, 4))
  bench.add('encoded anew, 5 with two properties', () => void encodePublish(topic, payload, 1, false, false, properties, 5))
  const message = new Message({ topic, payload, qos: 1, retain: false, origin: 'server', clientId: '', receivedAt: 0 })
  bench.add('the same for one more receiver', () => void message.frame(4, 1, false))
  const theirs = { cmd: 'publish', topic, payload, qos: 1, messageId: 1, retain: false, dup: false } as const
  bench.add('mqtt-packet, 3.1.1', () => void mqttPacket.generate(theirs))
}
