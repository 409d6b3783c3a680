import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DeliveryTerms } from '../../core/routing/delivery-terms.ts'
import { MessageQueue, type QueuedDelivery } from '../../core/sessions/message-queue.ts'
import { queuedBytes } from '../../core/sessions/queue-policy.ts'
import type { QueueLimits } from '../../core/sessions/session-store.ts'
import { messageOf } from './messages.ts'

function waiting(payloadLength: number): QueuedDelivery {
  return { message: messageOf(Buffer.alloc(payloadLength)), terms: new DeliveryTerms(1, false, null, null) }
}

const limitsOf = (limits: Partial<QueueLimits>): QueueLimits => ({
  messagesMax: 1000,
  bytesMax: 1_000_000,
  whenFull: 'dropNewest',
  ...limits,
})

const sizeOf = (entry: QueuedDelivery) => queuedBytes(entry.message)

const steps = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('push' as const), length: fc.nat(600) }) },
    { weight: 2, arbitrary: fc.constant({ kind: 'shift' as const }) },
  ),
  { maxLength: 100, size: 'max' },
)

for (const whenFull of ['dropNewest', 'dropOldest'] as const) {
  test(`gives back what it was given, in order, within both bounds, by ${whenFull}`, () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 10 }), fc.integer({ min: 1, max: 3000 }), (list, messagesMax, bytesMax) => {
        const queue = new MessageQueue<QueuedDelivery>({ messagesMax, bytesMax, whenFull })
        let model: QueuedDelivery[] = []
        const bytes = () => model.reduce((sum, entry) => sum + sizeOf(entry), 0)
        for (const step of list) {
          if (step.kind === 'shift') {
            expect(queue.shift()).toBe(model.shift())
          } else {
            const entry = waiting(step.length)
            const expected: QueuedDelivery[] = []
            if (sizeOf(entry) > bytesMax) expected.push(entry)
            else {
              const full = () => model.length >= messagesMax || bytes() + sizeOf(entry) > bytesMax
              if (full() && whenFull === 'dropNewest') expected.push(entry)
              else {
                while (full()) expected.push(model.shift()!)
                model = [...model, entry]
              }
            }
            expect(queue.push(entry) ?? []).toEqual(expected)
          }
          expect(queue.length).toBe(model.length)
          expect(queue.bytes).toBe(bytes())
          expect([...queue]).toEqual(model)
          expect(queue.length).toBeLessThanOrEqual(messagesMax)
          expect(queue.bytes).toBeLessThanOrEqual(bytesMax)
        }
      }),
      { numRuns: 200 },
    )
  })
}

describe('a full queue', () => {
  test('refuses the newest, or lets the oldest go, as the policy says', () => {
    const [a, b, c] = [waiting(1), waiting(1), waiting(1)]
    const newest = new MessageQueue<QueuedDelivery>(limitsOf({ messagesMax: 2 }))
    const oldest = new MessageQueue<QueuedDelivery>(limitsOf({ messagesMax: 2, whenFull: 'dropOldest' }))
    for (const queue of [newest, oldest]) {
      expect(queue.push(a)).toBeNull()
      expect(queue.push(b)).toBeNull()
    }
    expect(newest.push(c)).toEqual([c])
    expect(oldest.push(c)).toEqual([a])
    expect([...newest]).toEqual([a, b])
    expect([...oldest]).toEqual([b, c])
  })

  test('lets nothing go for a message that could never fit', () => {
    const queue = new MessageQueue<QueuedDelivery>(limitsOf({ bytesMax: 500, whenFull: 'dropOldest' }))
    const [a, b] = [waiting(10), waiting(1000)]
    queue.push(a)
    expect(queue.push(b)).toEqual([b])
    expect([...queue]).toEqual([a])
  })
})

test('is high from more than half full on and low below a quarter, by messages or by bytes', () => {
  const byCount = new MessageQueue<QueuedDelivery>(limitsOf({ messagesMax: 8 }))
  const byBytes = new MessageQueue<QueuedDelivery>(limitsOf({ bytesMax: 8 * sizeOf(waiting(99)) }))
  for (const queue of [byCount, byBytes]) {
    const seen: string[] = []
    for (let length = 1; length <= 8; length++) {
      queue.push(waiting(99))
      seen.push(queue.high ? 'high' : queue.low ? 'low' : 'between')
    }
    expect(seen).toEqual(['low', 'between', 'between', 'between', 'high', 'high', 'high', 'high'])
    while (queue.length > 1) queue.shift()
    expect(queue.low).toBe(true)
  }
})

test('keeps its order over thousands that come and go', () => {
  const queue = new MessageQueue<QueuedDelivery>(limitsOf({ messagesMax: 10_000 }))
  const entries = Array.from({ length: 9000 }, (_, i) => waiting(i % 7))
  const given: (QueuedDelivery | undefined)[] = []
  for (const [i, entry] of entries.entries()) {
    queue.push(entry)
    if (i % 3 !== 0) given.push(queue.shift())
  }
  while (queue.length > 0) given.push(queue.shift())
  expect(given.length).toBe(entries.length)
  expect(given.every((entry, i) => entry === entries[i])).toBe(true)
  expect(queue.bytes).toBe(0)
})

test('counts what MQTT 5 carries with a message, so that properties cannot fill the memory', () => {
  const bare = queuedBytes(messageOf('x'))
  const full = messageOf('x', {
    properties: {
      userProperties: [['name', 'v'.repeat(10_000)]],
      contentType: 'c'.repeat(1000),
      responseTopic: 'r'.repeat(1000),
      correlationData: Buffer.alloc(1000),
    },
  })
  expect(queuedBytes(full)).toBeGreaterThanOrEqual(bare + 13_004)
})
