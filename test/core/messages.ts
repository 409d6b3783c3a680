import { Message, type MessageFields } from '../../core/messages/message.ts'

/** A message of which only what matters to a test is said. */
export function messageOf(payload: string | Buffer = '', fields: Partial<MessageFields> = {}): Message {
  return new Message({
    topic: 't',
    payload: Buffer.from(payload),
    qos: 1,
    retain: false,
    origin: 'client',
    clientId: 'writer',
    receivedAt: 0,
    ...fields,
  })
}
