import type { WebhookItem } from './event-parcel.ts'

/** One request, before it is signed. */
export interface WebhookRequest {
  /** Names what the request carries: the same where the same events are sent again together. */
  readonly id: string
  readonly headers: Record<string, string>
  readonly body: Buffer
}

const open = Buffer.from('[')
const comma = Buffer.from(',')
const close = Buffer.from(']')
const plainType = /^[\x20-\x7e]{1,200}$/

/** What goes to the server for these events: one that is a message by itself, where its JSON was not made; else all of them in one array. */
export function requestOf(items: readonly WebhookItem[], own: Readonly<Record<string, string>>): WebhookRequest {
  const [first] = items as readonly [WebhookItem]
  const id = items.length === 1 ? first.id : `${first.id}.${items.length}`
  const headers: Record<string, string> = { 'user-agent': 'mqttx-broker' }
  for (const [name, value] of Object.entries(own)) headers[name.toLowerCase()] = value
  headers['webhook-id'] = id
  const { message } = first
  if (first.json === null && message !== null) {
    const { topic, clientId, qos, retain, payload, properties } = message
    const type = properties?.contentType
    // A publisher chooses the content type, and a header takes not every character.
    headers['content-type'] ??= type !== undefined && plainType.test(type) ? type : 'application/octet-stream'
    headers['mqtt-topic'] = encodeURIComponent(topic)
    headers['mqtt-client-id'] = encodeURIComponent(clientId)
    headers['mqtt-qos'] = String(qos)
    headers['mqtt-retain'] = String(retain)
    return { id, headers, body: payload }
  }
  headers['content-type'] ??= 'application/json'
  const parts: Buffer[] = [open]
  for (const { json } of items) parts.push(json!, comma)
  parts[parts.length - 1] = close
  return { id, headers, body: Buffer.concat(parts) }
}
