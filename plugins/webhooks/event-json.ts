import { isUtf8 } from 'node:buffer'
import type { Message } from '../../core/messages/message.ts'

/** What an event says beside its id, kind, time and node. */
export type EventFields = Readonly<Record<string, unknown>>

/** An event that is no message, as JSON. `at`: milliseconds since the Unix epoch. */
export function eventJson(id: string, event: string, at: number, node: string, fields: EventFields): Buffer {
  return Buffer.from(JSON.stringify({ id, event, time: Math.trunc(at), node, ...fields }))
}

/** The event of a message that was published, as JSON. A payload that is no UTF-8 is in base64. */
export function messageJson(id: string, message: Message, node: string): Buffer {
  const { topic, clientId, username, qos, retain, payload, receivedAt, properties } = message
  const isText = isUtf8(payload)
  return eventJson(id, 'message.published', receivedAt, node, {
    clientId,
    username: username ?? null,
    topic,
    qos,
    retain,
    encoding: isText ? 'utf8' : 'base64',
    payload: payload.toString(isText ? 'utf8' : 'base64'),
    ...(properties === undefined ? {} : { properties: { ...properties, correlationData: properties.correlationData?.toString('base64') } }),
  })
}
