import type { Broker, ServerMessage } from '../broker.ts'
import { isTopicName } from '../routing/topic.ts'
import { Message } from './message.ts'

/** Publishes in the broker's own name; resolves when everybody who has to keep the message has it. */
export async function publishOwn(broker: Broker, { topic, payload, qos = 0, retain = false, properties }: ServerMessage): Promise<void> {
  if (!isTopicName(topic)) throw new TypeError(`publish: ${JSON.stringify(topic)} is not a topic name`)
  const message = new Message({
    topic,
    payload: typeof payload === 'string' ? Buffer.from(payload) : Buffer.isBuffer(payload) ? payload : Buffer.from(payload),
    qos,
    retain,
    properties,
    origin: 'server',
    clientId: '',
    receivedAt: broker.clock.now(),
  })
  // Without a lookup it is routed in this very call.
  if (broker.lookup !== null) await broker.lookup.known(topic)
  const { receipt } = broker.dispatch(message, null, null)
  if (receipt === null) return
  await new Promise<void>((resolve, reject) => receipt.onSettled(error => (error === undefined ? resolve() : reject(error))))
}
