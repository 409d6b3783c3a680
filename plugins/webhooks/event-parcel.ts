import type { Message } from '../../core/messages/message.ts'
import { queuedBytes } from '../../core/sessions/queue-policy.ts'
import type { ParkedCodec } from '../kit/parked-rows.ts'
import type { LaneCodec } from '../kit/sending-lane.ts'
import { decodeMessage, encodeMessage, StoredFormatError } from '../kit/stored-message.ts'
import { messageJson } from './event-json.ts'

/** An event on its way to an endpoint: a message, or what happened to a client or session. */
export interface EventParcel {
  /** Names the event, at each sending: by it a receiver knows a repeat. */
  readonly id: string
  /** Null: it is no message. */
  readonly message: Message | null
  /** The event as JSON, where it is no message. */
  readonly json: Buffer | null
  /** When it happened, by the broker's clock: milliseconds since the Unix epoch. */
  readonly at: number
}

/** What goes into a request of one event. */
export interface WebhookItem {
  readonly id: string
  /** Null where the body of requests is the payload. */
  readonly json: Buffer | null
  readonly message: Message | null
}

const format = 1
const eventBytes = 200

function encode({ id, message, json, at }: EventParcel, clockShift: number): Buffer {
  const idBytes = Buffer.byteLength(id)
  const before = 11 + idBytes
  let row: Buffer
  if (message === null) {
    row = Buffer.allocUnsafe(before + json!.length)
    json!.copy(row, before)
  } else row = encodeMessage(message, before, true, clockShift)
  row[0] = format
  row[1] = message === null ? 1 : 0
  row.writeDoubleBE(at + clockShift, 2)
  row[10] = idBytes
  row.write(id, 11)
  return row
}

function decode(row: Buffer, clockShift: number): EventParcel {
  if (row[0] !== format) throw new StoredFormatError('a newer version has put this event into the queue of a webhook')
  const idEnd = 11 + row[10]!
  const id = row.toString('utf8', 11, idEnd)
  const at = row.readDoubleBE(2) - clockShift
  const rest = row.subarray(idEnd)
  return row[1] === 1 ? { id, message: null, json: rest, at } : { id, message: decodeMessage(rest, undefined, clockShift), json: null, at }
}

/** How lanes keep events. `node`: the name of the broker. */
export function eventCodec(body: 'json' | 'payload', node: string): LaneCodec<EventParcel, WebhookItem> & ParkedCodec<EventParcel> {
  return {
    bytesOf: ({ id, message, json }) => eventBytes + id.length + (message === null ? json!.length : queuedBytes(message)),
    encode,
    decode,
    own: ({ message }) => void message?.own(),
    receivedAt: ({ at }) => at,
    // Nobody waits for what is no message, but nobody tells of it again either.
    isPromised: ({ message }) => message === null || message.qos > 0,
    recordOf: ({ id, message, json }) => ({
      id,
      message,
      json: body === 'payload' ? null : message === null ? json : messageJson(id, message, node),
    }),
    show(row, clockShift) {
      const { message, json } = decode(row, clockShift)
      if (message === null) return { topic: '', mqttTopic: '', clientId: '', payload: json! }
      const { topic, clientId, payload } = message
      return { topic: '', mqttTopic: topic, clientId, payload }
    },
  }
}
