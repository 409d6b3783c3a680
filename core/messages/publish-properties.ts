import type { Properties } from '../protocol/packets.ts'
import { isTopicName } from '../routing/topic.ts'

const textBytesMax = 65_535

const isText = (value: unknown) => typeof value === 'string' && Buffer.byteLength(value) <= textBytesMax
const isPair = (value: unknown) => Array.isArray(value) && value.length === 2 && value.every(isText)

/** The properties that a plugin may give a message. A topic alias and subscription identifiers are each connection's own. */
const checks: Partial<Record<keyof Properties, (value: unknown) => boolean>> = {
  payloadFormat: value => value === 0 || value === 1,
  messageExpiry: value => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0xffffffff,
  contentType: isText,
  responseTopic: value => isText(value) && isTopicName(value as string),
  correlationData: value => Buffer.isBuffer(value) && value.length <= textBytesMax,
  userProperties: value => Array.isArray(value) && value.every(isPair),
}

/** The first of a message's properties that no PUBLISH can carry; undefined where all is well. */
export function wrongProperty(properties: unknown): string | undefined {
  if (properties === undefined) return undefined
  if (typeof properties !== 'object' || properties === null || Array.isArray(properties)) return 'properties'
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined) continue
    if (checks[name as keyof Properties]?.(value) !== true) return name
  }
  return undefined
}
