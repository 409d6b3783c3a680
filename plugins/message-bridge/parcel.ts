import { isUtf8 } from 'node:buffer'
import type { Message } from '../../core/messages/message.ts'
import { queuedBytes } from '../../core/sessions/queue-policy.ts'
import type { ParkedCodec } from '../kit/parked-rows.ts'
import type { LaneCodec } from '../kit/sending-lane.ts'
import type { BridgeHeader, BridgeRecord } from '../kit/services/bridge-target.ts'
import { decodeMessage, encodeMessage, StoredFormatError } from '../kit/stored-message.ts'

/** A message on its way to another system: all that its rule had to say about it. */
export interface Parcel {
  readonly message: Message
  /** The topic there. */
  readonly topic: string
  readonly key: string
  readonly json: boolean
  readonly headers: boolean
}

const format = 1

/** What a parcel takes in memory. */
export function parcelBytes({ message, topic, key }: Parcel): number {
  return queuedBytes(message) + topic.length + key.length
}

/** A parcel as a queue on disk keeps it, which copies it, and whose time is `clockShift` ahead of the broker's clock. */
export function encodeParcel({ message, topic, key, json, headers }: Parcel, clockShift: number): Buffer {
  const topicBytes = Buffer.byteLength(topic)
  const keyBytes = Buffer.byteLength(key)
  const before = 6 + topicBytes + keyBytes
  const row = encodeMessage(message, before, true, clockShift)
  row[0] = format
  row[1] = (json ? 1 : 0) | (headers ? 2 : 0)
  row.writeUInt16BE(topicBytes, 2)
  row.write(topic, 4)
  row.writeUInt16BE(keyBytes, 4 + topicBytes)
  row.write(key, 6 + topicBytes)
  return row
}

/** Reads what `encodeParcel` wrote; throws `StoredFormatError` where a newer version did. Nobody may change `row` afterwards. */
export function decodeParcel(row: Buffer, clockShift: number): Parcel {
  if (row[0] !== format) throw new StoredFormatError('a newer version has put this message into the queue of the bridge')
  const flags = row[1]!
  const topicEnd = 4 + row.readUInt16BE(2)
  const keyEnd = topicEnd + 2 + row.readUInt16BE(topicEnd)
  const topic = row.toString('utf8', 4, topicEnd)
  const key = row.toString('utf8', topicEnd + 2, keyEnd)
  const message = decodeMessage(row.subarray(keyEnd), undefined, clockShift)
  return { message, topic, key, json: (flags & 1) !== 0, headers: (flags & 2) !== 0 }
}

/** What the system gets. */
export function recordOf({ message, topic, key, json, headers }: Parcel): BridgeRecord {
  const { payload, receivedAt } = message
  const value = json ? envelope(message) : payload
  // The clock counts in parts of a millisecond.
  return { topic, key, value, headers: headers ? headersOf(message) : emptyHeaders(), timestamp: Math.trunc(receivedAt) }
}

// Clients choose names: in an object of the usual kind `constructor` and `__proto__` would be there before anybody sets them.
function emptyHeaders(): Record<string, BridgeHeader> {
  return Object.create(null) as Record<string, BridgeHeader>
}

function headersOf({ topic, clientId, qos, retain, properties }: Message): Record<string, BridgeHeader> {
  const headers = emptyHeaders()
  headers['mqtt.topic'] = topic
  headers['mqtt.clientId'] = clientId
  headers['mqtt.qos'] = String(qos)
  headers['mqtt.retain'] = String(retain)
  if (properties === undefined) return headers
  const { contentType, responseTopic, correlationData, payloadFormat, messageExpiry, userProperties } = properties
  if (contentType !== undefined) headers['mqtt.contentType'] = contentType
  if (responseTopic !== undefined) headers['mqtt.responseTopic'] = responseTopic
  if (correlationData !== undefined) headers['mqtt.correlationData'] = correlationData
  if (payloadFormat !== undefined) headers['mqtt.payloadFormat'] = String(payloadFormat)
  if (messageExpiry !== undefined) headers['mqtt.messageExpiry'] = String(messageExpiry)
  for (const [name, value] of userProperties ?? []) {
    // A client must not be able to pass its own for the broker's.
    const own = name.startsWith('mqtt.') ? `mqtt.user.${name}` : name
    const before = headers[own] as string | string[] | undefined
    if (before === undefined) headers[own] = value
    else if (Array.isArray(before)) before.push(value)
    else headers[own] = [before, value]
  }
  return headers
}

function envelope({ topic, clientId, qos, retain, payload, receivedAt, properties }: Message): Buffer {
  const text = isUtf8(payload)
  const body = {
    topic,
    clientId,
    qos,
    retain,
    timestamp: Math.trunc(receivedAt),
    encoding: text ? 'utf8' : 'base64',
    payload: payload.toString(text ? 'utf8' : 'base64'),
    ...(properties === undefined ? {} : { properties: { ...properties, correlationData: properties.correlationData?.toString('base64') } }),
  }
  return Buffer.from(JSON.stringify(body))
}

/** How lanes keep parcels. */
export const parcelCodec: LaneCodec<Parcel, BridgeRecord> & ParkedCodec<Parcel> = {
  bytesOf: parcelBytes,
  receivedAt: ({ message }) => message.receivedAt,
  isPromised: ({ message }) => message.qos > 0,
  recordOf,
  decode: decodeParcel,
  own: ({ message }) => void message.own(),
  encode: encodeParcel,
  show(row, clockShift) {
    const { topic, message } = decodeParcel(row, clockShift)
    const { topic: mqttTopic, clientId, payload } = message
    return { topic, mqttTopic, clientId, payload }
  },
}
