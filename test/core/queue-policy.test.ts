import { describe, expect, test } from 'vitest'
import { DeliveryTerms } from '../../core/routing/delivery-terms.ts'
import { MessageQueue, type QueuedDelivery } from '../../core/sessions/message-queue.ts'
import { queuedBytes, roomFor } from '../../core/sessions/queue-policy.ts'
import { identifiersOf, payloadOf, queueTable } from '../contracts/suite/queue-table.ts'
import { messageOf } from '../contracts/suite/sessions-harness.ts'

describe("core's own queue", () => {
  for (const { title, limits, arrivals, kept, dropped } of queueTable) {
    test(title, () => {
      const queue = new MessageQueue<QueuedDelivery>({
        messagesMax: 100_000,
        bytesMax: 64 * 1024 * 1024,
        whenFull: 'dropNewest',
        ...limits,
      })
      const gone: QueuedDelivery[] = []
      for (const arrival of arrivals) {
        const message = messageOf(payloadOf(arrival))
        gone.push(...(queue.push({ message, terms: new DeliveryTerms(1, false, identifiersOf(arrival), null) }) ?? []))
      }
      const names = (list: Iterable<QueuedDelivery>) => [...list].map(({ message }) => message.payload.toString().trim())
      expect(names(queue)).toEqual(kept)
      expect(names(gone)).toEqual(dropped)
      expect(queue.bytes).toBe([...queue].reduce((sum, { message, terms }) => sum + queuedBytes(message, terms.identifiers), 0))
      while (queue.length > 0) queue.shift()
      expect(queue.bytes).toBe(0)
    })
  }
})

test('a full queue asks for its oldest only where the new message would fit into an empty one', () => {
  for (let messagesMax = 0; messagesMax < 4; messagesMax++) {
    for (let messages = 0; messages < 6; messages++) {
      for (let size = 1; size < 12; size++) {
        const limits = { messagesMax, bytesMax: 10, whenFull: 'dropOldest' } as const
        const bytes = messages * 2
        const isRoom = messages + 1 <= messagesMax && bytes + size <= 10
        const couldFit = messagesMax > 0 && size <= 10
        expect(roomFor(limits, messages, bytes, size)).toBe(isRoom ? 'fits' : couldFit ? 'dropOldest' : 'dropNewest')
        expect(roomFor({ ...limits, whenFull: 'dropNewest' }, messages, bytes, size)).toBe(isRoom ? 'fits' : 'dropNewest')
      }
    }
  }
})
