import type { Broker } from '../broker.ts'
import type { Publisher, Refusal } from '../hooks.ts'
import type { Properties } from '../protocol/packets.ts'
import { isUtf8 } from '../protocol/utf8.ts'
import { ReasonCode } from '../reason.ts'
import { isReservedTopic, isTopicName, topicLevels } from '../routing/topic.ts'
import type { Message } from './message.ts'
import { wrongProperty } from './publish-properties.ts'

/** What a plugin has in its hands and may change: a message in onPublish, a delivery in onDeliver. */
interface Changeable {
  readonly topic: string
  readonly properties: Properties | undefined
}

/**
 * Plugins may change a topic name and properties, but not into something that no PUBLISH can carry: that is refused, and said
 * in the log. `topic` and `properties` are what they were before.
 */
export function changeFault(broker: Broker, topic: string, properties: Properties | undefined, after: Changeable): Refusal | undefined {
  if (after.topic !== topic && !(typeof after.topic === 'string' && isTopicName(after.topic))) {
    broker.report(
      new TypeError(`a plugin changed the topic name ${JSON.stringify(topic)} to ${JSON.stringify(after.topic)}, which is none`),
    )
    return { reasonCode: ReasonCode.ImplementationSpecificError, reasonString: 'a plugin made the topic name invalid' }
  }
  const wrong = after.properties === properties ? undefined : wrongProperty(after.properties)
  if (wrong === undefined) return undefined
  broker.report(new TypeError(`a plugin gave a message to ${JSON.stringify(topic)} a wrong value for ${wrong}`))
  return { reasonCode: ReasonCode.ImplementationSpecificError, reasonString: 'a plugin made the properties invalid' }
}

/** What a publisher is told that `onAuthorize` does not let pass. One object, by which the handler knows it. */
export const notAuthorized: Refusal = Object.freeze({ reasonCode: ReasonCode.NotAuthorized })

/** Why a publish, or a will, is refused before any plugin is asked for its verdict. */
export function publishFault(broker: Broker, publisher: Publisher, message: Message): Refusal | undefined {
  const { topic } = message
  if (isReservedTopic(topic)) return { reasonCode: ReasonCode.NotAuthorized, reasonString: 'clients cannot publish to this topic' }
  const { mqtt } = broker.settings
  if (topicLevels(topic) > mqtt.topicLevelsMax) {
    broker.counters.limited.topicLevels += 1
    return { reasonCode: ReasonCode.TopicNameInvalid, reasonString: 'too many topic levels' }
  }
  if (topic.length > mqtt.topicLengthMax) {
    broker.counters.limited.topicLength += 1
    return { reasonCode: ReasonCode.TopicNameInvalid, reasonString: `more than ${mqtt.topicLengthMax} characters in a topic name` }
  }
  if (mqtt.validatePayloadFormat && message.properties?.payloadFormat === 1 && !isUtf8(message.payload)) {
    return { reasonCode: ReasonCode.PayloadFormatInvalid, reasonString: 'the payload is not UTF-8' }
  }
  const { onAuthorize } = broker.hooks
  if (onAuthorize.isUsed() && onAuthorize.call(publisher, 'publish', topic) === false) return notAuthorized
  return undefined
}
