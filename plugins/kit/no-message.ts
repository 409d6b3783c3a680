import { Message } from '../../core/messages/message.ts'

/** What stands where a store is asked to append nothing but a packet identifier that has been received at QoS 2. */
export const noMessage: Message = new Message({
  topic: 'none',
  payload: Buffer.alloc(0),
  qos: 2,
  retain: false,
  origin: 'server',
  clientId: '',
  receivedAt: 0,
})
