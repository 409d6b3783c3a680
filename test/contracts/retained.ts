import { beforeEach, describe, expect, test } from 'vitest'
import { Message } from '../../core/messages/message.ts'
import type { RetainedStore } from '../../core/routing/retained.ts'
import { ManualClock } from '../../core/time/manual-clock.ts'

/** The contract of the `retained` service (core/routing/retained.ts), for any owner. */
export function retainedContract(name: string, create: (clock: ManualClock) => RetainedStore | Promise<RetainedStore>): void {
  describe(`retained messages kept ${name}`, () => {
    let clock: ManualClock
    let store: RetainedStore
    beforeEach(async () => {
      clock = new ManualClock()
      store = await create(clock)
    })

    const set = async (topic: string, payload: string, messageExpiry?: number): Promise<void> => {
      const properties = messageExpiry === undefined ? undefined : { messageExpiry }
      const fields = { topic, payload: Buffer.from(payload), qos: 1, retain: true, origin: 'client', clientId: 'publisher' } as const
      await store.set(new Message({ ...fields, properties, receivedAt: clock.now() }))
    }
    const all = async (filter: string, limit = 100): Promise<string[]> => {
      const cursor = store.match(filter)
      const found: string[] = []
      for (;;) {
        const { messages, done } = await cursor.next(limit)
        expect(messages.length).toBeLessThanOrEqual(limit)
        found.push(...messages.map(message => `${message.topic} ${message.payload}`))
        if (done) return found.sort()
      }
    }

    test('are the last of each topic, and gone when an empty payload clears it', async () => {
      await set('a', 'old')
      await set('a', 'new')
      await set('b', 'other')
      expect(await all('a')).toEqual(['a new'])
      expect(store.size).toBe(2)
      await set('a', '')
      await set('never', '')
      expect(await all('#')).toEqual(['b other'])
      expect(store.size).toBe(1)
    })

    test('are found by filters as subscriptions are', async () => {
      for (const topic of ['a', 'a/b', 'a/b/c', 'a//c', '/a', 'x', '$SYS/x']) await set(topic, '.')
      expect(await all('a/#')).toEqual(['a .', 'a//c .', 'a/b .', 'a/b/c .'])
      expect(await all('a/+/c')).toEqual(['a//c .', 'a/b/c .'])
      expect(await all('+')).toEqual(['a .', 'x .'])
      expect(await all('+/+')).toEqual(['/a .', 'a/b .'])
      expect(await all('#')).toHaveLength(6)
      expect(await all('$SYS/#')).toEqual(['$SYS/x .'])
      expect(await all('nothing/here')).toEqual([])
    })

    test('come a page at a time, each of those that stay once, whatever comes and goes between the pages', async () => {
      for (let i = 0; i < 50; i++) await set(`t/${i}`, String(i))
      const cursor = store.match('t/+')
      const seen: string[] = []
      for (let page = 0; ; page++) {
        const { messages, done } = await cursor.next(7)
        seen.push(...messages.map(message => message.topic))
        if (done) break
        await set(`t/${page}`, '')
        await set(`new/${page}`, 'x')
      }
      const staying = seen.filter(topic => Number(topic.slice(2)) >= 10)
      expect(new Set(staying).size).toBe(40)
      expect(staying).toHaveLength(40)
    })

    test('are not found any more when they have expired', async () => {
      await set('short', 'x', 10)
      await set('long', 'x', 100)
      clock.advance(10_001)
      expect(await all('#')).toEqual(['long x'])
      expect(store.size).toBe(1)
    })

    test('keep all that a message says', async () => {
      const properties = { contentType: 'text/plain', correlationData: Buffer.from([0, 1]), userProperties: [['a', 'b'] as const] }
      const fields = { topic: 'a', payload: Buffer.from([0xff, 0]), qos: 2, retain: true, origin: 'client', clientId: 'publisher' } as const
      await store.set(new Message({ ...fields, properties, receivedAt: clock.now() }))
      const { messages } = await store.match('a').next(1)
      expect(messages[0]).toMatchObject({ qos: 2, retain: true, clientId: 'publisher', properties })
      expect(messages[0]!.payload).toEqual(Buffer.from([0xff, 0]))
    })
  })
}
