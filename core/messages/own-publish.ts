import type { Hooks } from '../hooks.ts'
import type { QoS } from '../protocol/constants.ts'
import type { Properties } from '../protocol/packets.ts'
import type { Dispatcher } from '../routing/dispatcher.ts'
import { isTopicName } from '../routing/topic.ts'
import { Message } from './message.ts'
import { wrongProperty } from './publish-properties.ts'

/** What the broker publishes by itself. */
export interface ServerMessage {
  /** The topic name. One that is none is an error. */
  topic: string
  /** The payload; a text is sent as UTF-8. Default: empty. */
  payload: Buffer | Uint8Array | string
  /** The QoS that the message is published with. Default 0. */
  qos?: QoS
  /** Default false. */
  retain?: boolean
  /** The MQTT 5 properties. Default: none. One that no PUBLISH from the broker can carry is an error. */
  properties?: Properties
}

/** What is used of the broker here. */
export interface OwnPublishHost {
  readonly clock: { now(): number }
  readonly dispatcher: Dispatcher
  readonly hooks: Hooks
  readonly matchUsed: boolean
}

/** Publishes in the broker's own name; resolves when everybody who has to keep the message has it. */
export async function publishOwn(
  host: OwnPublishHost,
  { topic, payload, qos = 0, retain = false, properties }: ServerMessage,
): Promise<void> {
  if (!isTopicName(topic)) throw new TypeError(`publish: ${JSON.stringify(topic)} is not a topic name`)
  const wrong = wrongProperty(properties)
  if (wrong !== undefined) throw new TypeError(`publish: a wrong value for ${wrong}`)
  const message = new Message({
    topic,
    payload: typeof payload === 'string' ? Buffer.from(payload) : Buffer.isBuffer(payload) ? payload : Buffer.from(payload),
    qos,
    retain,
    properties,
    origin: 'server',
    clientId: '',
    receivedAt: host.clock.now(),
  })
  // Without a tap there it is routed in this very call.
  if (host.matchUsed) {
    const failure = (await host.hooks.onMatch.promise(message, null)) as Error | undefined
    if (failure !== undefined) throw failure
  }
  const receipt = host.dispatcher.dispatch(message, null, null)
  if (receipt === null) return
  await new Promise<void>((resolve, reject) => receipt.onSettled(error => (error === undefined ? resolve() : reject(error))))
}
