import type { Counters } from '../counters.ts'
import type { Hooks } from '../hooks.ts'
import type { Settings } from '../options/settings.ts'
import type { Properties } from '../protocol/packets.ts'
import { isUtf8 } from '../protocol/utf8.ts'
import type { Publisher } from '../publisher.ts'
import { ReasonCode } from '../reason.ts'
import { isGranted, type PublishRefusal, type Refusal } from '../refusals.ts'
import { isReservedTopic, isTopicName, topicLevels } from '../routing/topic.ts'
import type { Message } from './message.ts'
import { wrongProperty } from './publish-properties.ts'

/** What is used of the broker here. */
export interface PublishFaultHost {
  readonly settings: Settings
  readonly hooks: Hooks
  readonly counters: Counters
  report(error: Error): void
}

/** What a plugin has in its hands and may change: a message in onPublish, a delivery in onDeliver. */
interface Changeable {
  readonly topic: string
  readonly properties: Properties | undefined
}

/**
 * Plugins may change a topic name and properties, but not into something that no PUBLISH can carry: that is refused, and said
 * in the log. `topic` and `properties` are what they were before.
 */
export function changeFault(
  host: Pick<PublishFaultHost, 'report'>,
  topic: string,
  properties: Properties | undefined,
  after: Changeable,
): Refusal | undefined {
  if (after.topic !== topic && !(typeof after.topic === 'string' && isTopicName(after.topic))) {
    host.report(new TypeError(`a plugin changed the topic name ${JSON.stringify(topic)} to ${JSON.stringify(after.topic)}, which is none`))
    return { reasonCode: ReasonCode.ImplementationSpecificError, reasonString: 'a plugin made the topic name invalid' }
  }
  const wrong = after.properties === properties ? undefined : wrongProperty(after.properties)
  if (wrong === undefined) return undefined
  host.report(new TypeError(`a plugin gave a message to ${JSON.stringify(topic)} a wrong value for ${wrong}`))
  return { reasonCode: ReasonCode.ImplementationSpecificError, reasonString: 'a plugin made the properties invalid' }
}

// What a publisher is told that `onAuthorize` does not let pass: one object for each consequence.
const notAuthorized: Refusal = Object.freeze({ reasonCode: ReasonCode.NotAuthorized })
const droppedWhenDenied: Refusal = Object.freeze({ reasonCode: ReasonCode.NotAuthorized })
const closedWhenDenied: Refusal = Object.freeze({ reasonCode: ReasonCode.NotAuthorized })
const closedBeyondMax: Refusal = Object.freeze({ reasonCode: ReasonCode.TopicNameInvalid })
const bridgeState = /^\$SYS\/broker\/connection\/[^/]+\/state$/

/** What becomes of a publish with this refusal: its publisher is told, it is acknowledged and goes nowhere, or the connection is closed. */
export function consequenceOf(refusal: Refusal): 'refuse' | PublishRefusal {
  return refusal === droppedWhenDenied ? 'drop' : refusal === closedWhenDenied || refusal === closedBeyondMax ? 'close' : 'refuse'
}

/** Why a publish, or a will, is refused before any plugin is asked for its verdict. */
export function publishFault(host: PublishFaultHost, publisher: Publisher, message: Message, topic = message.topic): Refusal | undefined {
  const { mqtt } = host.settings
  if (isReservedTopic(topic) && !(mqtt.bridgeStates && bridgeState.test(topic)))
    return { reasonCode: ReasonCode.NotAuthorized, reasonString: 'clients cannot publish to this topic' }
  // A topic name has at most one level more than it has characters.
  if (topic.length >= mqtt.topicLevelsMax && topicLevels(topic) > mqtt.topicLevelsMax) {
    host.counters.limited.topicLevels += 1
    if (mqtt.overTopicMax === 'disconnect') return closedBeyondMax
    return { reasonCode: ReasonCode.TopicNameInvalid, reasonString: 'too many topic levels' }
  }
  if (topic.length > mqtt.topicLengthMax) {
    host.counters.limited.topicLength += 1
    if (mqtt.overTopicMax === 'disconnect') return closedBeyondMax
    return { reasonCode: ReasonCode.TopicNameInvalid, reasonString: `more than ${mqtt.topicLengthMax} characters in a topic name` }
  }
  if (mqtt.validatePayloadFormat && message.properties?.payloadFormat === 1 && !isUtf8(message.payload)) {
    return { reasonCode: ReasonCode.PayloadFormatInvalid, reasonString: 'the payload is not UTF-8' }
  }
  const { onAuthorize } = host.hooks
  if (!onAuthorize.isUsed()) return undefined
  const permission = onAuthorize.call(publisher, 'publish', topic)
  if (isGranted(permission)) return undefined
  return permission === 'drop' ? droppedWhenDenied : permission === 'close' ? closedWhenDenied : notAuthorized
}
