import assert from 'node:assert/strict'
import type { MessageFields } from '../../../core/messages/message.ts'
import type { RetainedStore } from '../../../plugins/kit/services/retained.ts'
import { ManualClock } from '../../../presets/testing/manual-clock.ts'
import type { ContractRunner } from './runner.ts'
import { messageOf, saysOf } from './sessions-harness.ts'

/** An owner of the `retained` service that is to be proven. */
export interface RetainedOwner {
  /** Completes "retained messages kept …". */
  readonly name: string
  /** Makes one that holds nothing yet, on a clock that only the suite moves. */
  create(clock: ManualClock): RetainedStore | Promise<RetainedStore>
  /** Takes one from its broker as `kill -9` would and returns another on what it kept; left out where nothing is kept that long. */
  reopen?(store: RetainedStore, clock: ManualClock): RetainedStore | Promise<RetainedStore>
  /** Frees what a test's last owner holds. */
  dispose?(store: RetainedStore): void | Promise<void>
}

class RetainedHarness {
  readonly clock = new ManualClock()
  store!: RetainedStore

  set(topic: string, payload: string | Buffer, fields: Partial<MessageFields> = {}): void | Promise<void> {
    return this.store.set(messageOf(payload, { topic, qos: 1, retain: true, receivedAt: this.clock.now(), ...fields }))
  }

  async all(filter: string, limit = 100): Promise<string[]> {
    const cursor = this.store.match(filter)
    const found: string[] = []
    for (;;) {
      const { messages, done } = await cursor.next(limit)
      assert.ok(messages.length <= limit)
      found.push(...messages.map(message => `${message.topic} ${message.payload}`))
      if (done) return found.sort()
    }
  }
}

/** The contract of the `retained` service (plugins/kit/services/retained.ts), for any owner. */
export function retainedContract({ describe, it }: ContractRunner, owner: RetainedOwner): void {
  describe(`retained messages kept ${owner.name}`, () => {
    const test = (title: string, run: (harness: RetainedHarness) => Promise<void>) =>
      it(title, async () => {
        const harness = new RetainedHarness()
        harness.store = await owner.create(harness.clock)
        try {
          await run(harness)
        } finally {
          await owner.dispose?.(harness.store)
        }
      })

    test('are the last of each topic, and gone when an empty payload clears it', async h => {
      await h.set('a', 'old')
      await h.set('a', 'new')
      await h.set('b', 'other')
      assert.deepEqual(await h.all('a'), ['a new'])
      assert.equal(h.store.size, 2)
      await h.set('a', '')
      await h.set('never', '')
      assert.deepEqual(await h.all('#'), ['b other'])
      assert.equal(h.store.size, 1)
    })

    test('are counted in bytes, where the store does so, and a topic that has one is known', async h => {
      const { store } = h
      if (store.bytes === undefined || store.has === undefined) return
      await h.set('a', 'x'.repeat(1000))
      const one = store.bytes
      assert.ok(one >= 1000 && one < 2000)
      await h.set('a', 'y'.repeat(1000))
      assert.equal(store.bytes, one)
      await h.set('b', 'x'.repeat(2000))
      assert.equal(store.bytes, 2 * one + 1000)
      assert.deepEqual([store.has('a'), store.has('b'), store.has('c')], [true, true, false])
      await h.set('a', '')
      await h.set('c', '')
      assert.equal(store.bytes, one + 1000)
      assert.deepEqual([store.has('a'), store.has('b'), store.has('c')], [false, true, false])
      await h.set('b', '')
      assert.equal(store.bytes, 0)
    })

    test('are the last of each topic too where several are on their way at once', async h => {
      await Promise.all([h.set('a', '1'), h.set('b', '1'), h.set('a', '2'), h.set('b', ''), h.set('a', '3')])
      assert.deepEqual(await h.all('#'), ['a 3'])
      assert.equal(h.store.size, 1)
    })

    test('are found by filters as subscriptions are', async h => {
      for (const topic of ['a', 'a/b', 'a/b/c', 'a//c', '/a', 'x', '$SYS/x']) await h.set(topic, '.')
      assert.deepEqual(await h.all('a/#'), ['a .', 'a//c .', 'a/b .', 'a/b/c .'])
      assert.deepEqual(await h.all('a/+/c'), ['a//c .', 'a/b/c .'])
      assert.deepEqual(await h.all('+'), ['a .', 'x .'])
      assert.deepEqual(await h.all('+/+'), ['/a .', 'a/b .'])
      assert.equal((await h.all('#')).length, 6)
      assert.deepEqual(await h.all('$SYS/#'), ['$SYS/x .'])
      assert.deepEqual(await h.all('nothing/here'), [])
    })

    test('come a page at a time, each of those that stay once, whatever comes and goes between the pages', async h => {
      for (let i = 0; i < 50; i++) await h.set(`t/${i}`, String(i))
      const cursor = h.store.match('t/+')
      const seen: string[] = []
      for (let page = 0; ; page++) {
        const { messages, done } = await cursor.next(7)
        seen.push(...messages.map(message => message.topic))
        if (done) break
        await h.set(`t/${page}`, '')
        await h.set(`new/${page}`, 'x')
      }
      const staying = seen.filter(topic => Number(topic.slice(2)) >= 10)
      assert.equal(new Set(staying).size, 40)
      assert.equal(staying.length, 40)
    })

    test('come all, thousands of them, and no page is larger than was asked for', async h => {
      await Promise.all(Array.from({ length: 3000 }, (_, i) => h.set(`n/${i % 30}/${i}`, String(i))))
      assert.equal(h.store.size, 3000)
      assert.equal(new Set(await h.all('n/+/+', 100)).size, 3000)
      assert.equal((await h.all('n/7/+', 10)).length, 100)
    })

    test('are not found any more when they have expired', async h => {
      await h.set('short', 'x', { properties: { messageExpiry: 10 } })
      await h.set('long', 'x', { properties: { messageExpiry: 100 } })
      h.clock.advance(9999)
      assert.deepEqual(await h.all('#'), ['long x', 'short x'])
      // At ten seconds it has none left, so it is not found one millisecond longer.
      h.clock.advance(1)
      assert.deepEqual(await h.all('#'), ['long x'])
      assert.equal(h.store.size, 1)
    })

    test('that have expired are not counted, whether a walk finds them, a new message takes their place or they are cleared', async h => {
      const short = { properties: { messageExpiry: 10 } }
      for (const topic of ['walked', 'renewed', 'cleared']) await h.set(topic, 'x'.repeat(100), short)
      await h.set('stays', 'x')
      const before = h.store.bytes
      h.clock.advance(10_000)
      await h.set('renewed', 'new')
      await h.set('cleared', '')
      assert.deepEqual(await h.all('#'), ['renewed new', 'stays x'])
      assert.equal(h.store.size, 2)
      if (before !== undefined) assert.ok(h.store.bytes! < before - 200)
      await h.set('renewed', '')
      await h.set('stays', '')
      assert.deepEqual([h.store.size, h.store.bytes ?? 0], [0, 0])
    })

    const properties = {
      payloadFormat: 1 as const,
      contentType: 'text/größe',
      responseTopic: 'answers',
      correlationData: Buffer.from([0, 1, 255]),
      userProperties: [['a', 'b'] as const, ['a', 'c'] as const],
      messageExpiry: 1000,
    }

    test('keep all that a message says', async h => {
      const said = { qos: 2, clientId: 'somebody', origin: 'will', properties, receivedAt: h.clock.now() } as const
      await h.set('größe/☃', Buffer.from([0xff, 0]), said)
      const { messages } = await h.store.match('größe/☃').next(1)
      const sent = messageOf(Buffer.from([0xff, 0]), { topic: 'größe/☃', retain: true, ...said })
      assert.deepEqual(saysOf(messages[0]!), saysOf(sent))
    })

    test('say the user that published them', async h => {
      for (const [index, username] of ['eve', null, undefined, 'größer 名'].entries()) {
        await h.set(`a${index}`, 'x', { username })
        const { messages } = await h.store.match(`a${index}`).next(1)
        assert.equal(messages[0]!.username, username)
      }
    })

    test('may be a mebibyte each', async h => {
      const payload = Buffer.alloc(1_048_576, 'm')
      await h.set('large', payload)
      const { messages } = await h.store.match('large').next(1)
      assert.ok(messages[0]!.payload.equals(payload))
    })

    if (owner.reopen === undefined) return
    test('are what they were after the broker was killed', async h => {
      await h.set('a', 'old')
      await h.set('a', 'new', { properties })
      await h.set('b/c', 'x')
      await h.set('gone', 'x')
      await h.set('gone', '')
      await h.set('short', 'x', { properties: { messageExpiry: 10 } })
      const before = await h.store.match('a').next(1)
      h.store = await owner.reopen!(h.store, h.clock)
      assert.deepEqual(await h.all('#'), ['a new', 'b/c x', 'short x'])
      assert.equal(h.store.size, 3)
      const after = await h.store.match('a').next(1)
      assert.deepEqual(after.messages.map(saysOf), before.messages.map(saysOf))
      h.clock.advance(10_001)
      assert.deepEqual(await h.all('+'), ['a new'])
    })

    test('that expired while the broker was away are not there, and not counted', async h => {
      await h.set('short', 'x', { properties: { messageExpiry: 10 } })
      await h.set('long', 'x', { properties: { messageExpiry: 100 } })
      h.clock.advance(10_000)
      h.store = await owner.reopen!(h.store, h.clock)
      assert.deepEqual(await h.all('#'), ['long x'])
      assert.equal(h.store.size, 1)
    })
  })
}
