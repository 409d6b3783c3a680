import assert from 'node:assert/strict'
import { queuedBytes } from '../../../core/sessions/queue-policy.ts'
import { identifiersOf, payloadOf, queueTable } from './queue-table.ts'
import type { SessionsCase } from './sessions.ts'
import { messageOf } from './sessions-harness.ts'

const large = (mark: number) => `${mark}`.repeat(1000)
const largeBytes = queuedBytes(messageOf(large(0)))

/** A queue has room for so many messages and bytes, and says what had to go. */
export function boundCases(test: SessionsCase): void {
  for (const { title, limits, arrivals, kept, dropped } of queueTable) {
    test(
      `have a queue that ${title}`,
      async h => {
        const session = await h.claim()
        let bytes = 0
        for (const arrival of arrivals) {
          const identifiers = identifiersOf(arrival)
          await h.append(payloadOf(arrival), { identifiers })
          if (kept.includes(arrival.name)) bytes += queuedBytes(messageOf(payloadOf(arrival)), identifiers)
        }
        assert.deepEqual(
          (await h.payloads(session)).map(payload => payload.trim()),
          kept,
        )
        assert.deepEqual(
          h.droppedMessages.map(({ payload }) => payload.toString().trim()),
          dropped,
        )
        assert.deepEqual((await h.claim()).queued, { messages: kept.length, bytes })
      },
      limits,
    )
  }

  for (const [whenFull, left, gone] of [
    ['dropNewest', ['0', '1', '2'], ['c 3 queueFull', 'c 4 queueFull']],
    ['dropOldest', ['2', '3', '4'], ['c 0 queueFull', 'c 1 queueFull']],
  ] as const) {
    test(
      `bound their queue by messages: ${whenFull}`,
      async h => {
        const session = await h.claim()
        for (let i = 0; i < 5; i++) await h.append(String(i), {})
        assert.deepEqual(await h.payloads(session), left)
        assert.deepEqual(h.dropped, gone)
        assert.equal((await h.claim()).queued.messages, 3)
      },
      { messagesMax: 3, whenFull },
    )

    test(
      `bound their queue by messages, each for itself, where all come at once: ${whenFull}`,
      async h => {
        const [c, d] = [await h.claim(), await h.claim({ clientId: 'd' })]
        await h.append('before', { clientId: 'd' })
        const targets = () => [h.target(), h.target({ clientId: 'd' })]
        await Promise.all(Array.from({ length: 3 }, (_, i) => h.store.append(messageOf(String(i)), targets(), null)))
        const dropsNewest = whenFull === 'dropNewest'
        assert.deepEqual(await h.payloads(c), ['0', '1', '2'])
        assert.deepEqual(await h.payloads(d), dropsNewest ? ['before', '0', '1'] : ['0', '1', '2'])
        assert.deepEqual(h.dropped, [dropsNewest ? 'd 2 queueFull' : 'd before queueFull'])
      },
      { messagesMax: 3, whenFull },
    )
  }

  test(
    'drop nothing that is in flight, though it is the oldest',
    async h => {
      const session = await h.claim()
      await h.append('sent', { packetId: 1 })
      await h.append('waits', {})
      await h.append('new', {})
      assert.deepEqual(await h.payloads(session), ['sent', 'new'])
      await h.store.send(session, (await h.page(session))[1]!.position, 2)
      await h.append('no room', {})
      assert.deepEqual(await h.payloads(session), ['sent', 'new'])
      assert.deepEqual(h.dropped, ['c waits queueFull', 'c no room queueFull'])
    },
    { messagesMax: 2, whenFull: 'dropOldest' },
  )

  test(
    'bound their queue by bytes, and have room again when something is acknowledged',
    async h => {
      const session = await h.claim()
      for (let i = 0; i < 3; i++) await h.append(large(i), { packetId: i + 1 })
      const marks = async () => (await h.payloads(session)).map(payload => payload[0])
      assert.deepEqual(await marks(), ['0', '1'])
      await h.store.ack(session, 1)
      await h.append(large(3), {})
      assert.deepEqual(await marks(), ['1', '3'])
      assert.deepEqual((await h.claim()).queued, { messages: 2, bytes: 2 * largeBytes })
    },
    { bytesMax: 2 * largeBytes },
  )

  test(
    'drop as many old messages as a large one needs the bytes of',
    async h => {
      const session = await h.claim()
      for (let i = 0; i < 4; i++) await h.append(String(i), {})
      await h.append(large(4), {})
      const payloads = await h.payloads(session)
      assert.equal(payloads.at(-1), large(4))
      assert.equal(h.dropped.length, 5 - payloads.length)
      assert.deepEqual(
        h.dropped,
        h.dropped.map((_, i) => `c ${i} queueFull`),
      )
      assert.ok((await h.claim()).queued.bytes <= largeBytes + 150)
    },
    { bytesMax: largeBytes + 150, whenFull: 'dropOldest' },
  )

  test(
    'say what they drop before the append is answered, with its very message',
    async h => {
      await h.claim()
      await h.append('fits', {})
      const refused = messageOf('refused')
      const done = h.store.append(refused, [h.target()], null)
      if (done === undefined) assert.equal(h.droppedMessages[0], refused)
      else await done.then(() => assert.equal(h.droppedMessages[0], refused))
      assert.deepEqual(h.dropped, ['c refused queueFull'])
    },
    { messagesMax: 1 },
  )
}
