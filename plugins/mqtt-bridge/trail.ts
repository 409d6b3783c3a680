import type { Message } from '../../core/messages/message.ts'
import type { Properties } from '../../core/protocol/packets.ts'

/** The user property, of messages and of CONNECT, by which bridges know each other: which brokers a message has passed, in order, with commas between them. */
export const trailProperty = 'mqttx-bridge'

/** The brokers that a message has passed on bridges, the first one first. */
export function trailOf({ properties }: Pick<Message, 'properties'>): readonly string[] {
  const said = properties?.userProperties?.find(([name]) => name === trailProperty)?.[1]
  return said === undefined || said === '' ? [] : said.split(',')
}

/** Properties as another broker, or this one, may have them, with the trail at their end. What is each connection's own is left out. */
export function withTrail(properties: Properties | undefined, trail: readonly string[]): Properties {
  const { payloadFormat, messageExpiry, contentType, responseTopic, correlationData, userProperties = [] } = properties ?? {}
  const others = userProperties.filter(([name]) => name !== trailProperty)
  const kept: Properties = { userProperties: trail.length === 0 ? others : [...others, [trailProperty, trail.join(',')]] }
  if (payloadFormat !== undefined) kept.payloadFormat = payloadFormat
  if (messageExpiry !== undefined) kept.messageExpiry = messageExpiry
  if (contentType !== undefined) kept.contentType = contentType
  if (responseTopic !== undefined) kept.responseTopic = responseTopic
  if (correlationData !== undefined) kept.correlationData = correlationData
  return kept
}
