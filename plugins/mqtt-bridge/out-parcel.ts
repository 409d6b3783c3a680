import type { Message } from '../../core/messages/message.ts'
import type { QoS } from '../../core/protocol/constants.ts'
import { queuedBytes } from '../../core/sessions/queue-policy.ts'
import type { IntakeCodec } from '../kit/lane-intake.ts'
import type { ParkedCodec } from '../kit/parked-rows.ts'
import { decodeMessage, encodeMessage, StoredFormatError } from '../kit/stored-message.ts'

/** A message on its way to another broker. */
export interface OutParcel {
  readonly message: Message
  /** The topic name there. */
  readonly topic: string
  readonly qos: QoS
  readonly retain: boolean
}

const format = 1

function encode({ message, topic, qos, retain }: OutParcel, clockShift: number): Buffer {
  const topicBytes = Buffer.byteLength(topic)
  const row = encodeMessage(message, 4 + topicBytes, true, clockShift)
  row[0] = format
  row[1] = qos | (retain ? 4 : 0)
  row.writeUInt16BE(topicBytes, 2)
  row.write(topic, 4)
  return row
}

function decode(row: Buffer, clockShift: number): OutParcel {
  if (row[0] !== format) throw new StoredFormatError('a newer version has put this message into the queue of the bridge')
  const flags = row[1]!
  const topicEnd = 4 + row.readUInt16BE(2)
  return {
    message: decodeMessage(row.subarray(topicEnd), undefined, clockShift),
    topic: row.toString('utf8', 4, topicEnd),
    qos: (flags & 3) as QoS,
    retain: (flags & 4) !== 0,
  }
}

/** How lanes keep parcels. */
export const outParcelCodec: IntakeCodec<OutParcel> & ParkedCodec<OutParcel> = {
  bytesOf: ({ message, topic }) => queuedBytes(message) + topic.length,
  encode,
  decode,
  own: ({ message }) => void message.own(),
  show(row, clockShift) {
    const { topic, message } = decode(row, clockShift)
    const { topic: mqttTopic, clientId, payload } = message
    return { topic, mqttTopic, clientId, payload }
  },
}
