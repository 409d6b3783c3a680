import type { Broker } from './broker.ts'
import type { Publisher, Refusal } from './hooks.ts'
import type { Message } from './message.ts'
import { isUtf8 } from './protocol/utf8.ts'
import { ReasonCode } from './reason.ts'
import { isReservedTopic, isTopicName, topicLevels } from './topic.ts'

/** Plugins may change a topic name, but not into something that is none: that is refused, and said in the log. */
export function changedTopicFault(broker: Broker, before: string, after: string): Refusal | undefined {
  if (after === before || isTopicName(after)) return undefined
  broker.report(new TypeError(`a plugin changed the topic name ${JSON.stringify(before)} to ${JSON.stringify(after)}, which is none`))
  return { reasonCode: ReasonCode.ImplementationSpecificError, reasonString: 'a plugin made the topic name invalid' }
}

/** Why a publish, or a will, is refused before any plugin is asked for its verdict. */
export function publishFault(broker: Broker, publisher: Publisher, message: Message): Refusal | undefined {
  const { topic } = message
  if (isReservedTopic(topic)) return { reasonCode: ReasonCode.NotAuthorized, reasonString: 'clients cannot publish to this topic' }
  const { mqtt } = broker.settings
  if (topicLevels(topic) > mqtt.topicLevelsMax) return { reasonCode: ReasonCode.TopicNameInvalid, reasonString: 'too many topic levels' }
  if (mqtt.validatePayloadFormat && message.properties?.payloadFormat === 1 && !isUtf8(message.payload)) {
    return { reasonCode: ReasonCode.PayloadFormatInvalid, reasonString: 'the payload is not UTF-8' }
  }
  const { onAuthorize } = broker.hooks
  if (onAuthorize.isUsed() && onAuthorize.call(publisher, 'publish', topic) === false) return { reasonCode: ReasonCode.NotAuthorized }
  return undefined
}
