import assert from 'node:assert/strict'
import type { SessionsCase } from './sessions.ts'
import { assertLost, messageOf, saysOf, subscriptionOf, willOf } from './sessions-harness.ts'

const never = Number.POSITIVE_INFINITY

/** What was answered is there when another broker takes up what a killed one kept. */
export function restartCases(test: SessionsCase): void {
  test('are what they were after the broker was killed', async h => {
    const session = await h.claim()
    const publisher = await h.claim({ clientId: 'p' })
    await h.store.subscribe(session, [subscriptionOf('a', 2, { identifier: 9 }), subscriptionOf('gone')])
    await h.store.unsubscribe(session, ['gone'])
    const properties = { contentType: 'x', userProperties: [['k', 'v'] as const], correlationData: Buffer.from([0, 255]) }
    const sent = messageOf('in flight', { properties })
    await h.store.append(sent, [h.target({ packetId: 21, identifiers: [9], group: null })], null)
    await h.store.append(messageOf('released'), [h.target({ qos: 2, packetId: 20 })], { session: publisher, packetId: 5 })
    await h.store.release(session, 20)
    await h.append('done', { packetId: 22 })
    await h.store.ack(session, 22)
    await h.append('waits', {})
    const waiting = (await h.page(session)).at(-1)!
    await h.store.send(session, waiting.position, 23)
    await h.append('new', {})

    await h.reopen()
    const again = await h.claim()
    assert.equal(again.present, true)
    assert.ok(again.epoch > session.epoch)
    assert.deepEqual(again.subscriptions, [subscriptionOf('a', 2, { identifier: 9 })])
    assert.deepEqual(await h.flight(again), [
      [21, false],
      [20, true],
      [23, false],
      [0, false],
    ])
    const entries = await h.page(again)
    assert.deepEqual(saysOf(entries[0]!.message), saysOf(sent))
    assert.deepEqual(entries[0]!.identifiers, [9])
    assert.deepEqual((await h.claim({ clientId: 'p' })).receivedIds, [5])
    await assertLost(h.store.ack(session, 21))
    const told: string[] = []
    for await (const { clientId, subscriptions } of h.store.sessions())
      told.push(`${clientId} ${subscriptions.map(({ filter }) => filter).join()}`)
    assert.deepEqual(told.sort(), ['c a', 'p '])
    // New messages stand behind the old ones.
    await h.append('newest', {})
    assert.equal((await h.payloads(again)).at(-1), 'newest')
  })

  test(
    'know after a restart how much waits for them',
    async h => {
      await h.claim()
      for (let i = 0; i < 3; i++) await h.append(String(i), {})
      const { queued } = await h.claim()
      await h.reopen()
      assert.deepEqual((await h.claim()).queued, queued)
      await h.append('3', {})
      assert.deepEqual(h.dropped, ['c 3 queueFull'])
    },
    { messagesMax: 3 },
  )

  test('that were closed expire at the time that was set before the restart', async h => {
    await h.store.close(await h.claim(), 10_000, false)
    h.clock.advance(4000)
    await h.reopen()
    h.clock.advance(5999)
    assert.deepEqual(await h.due(), [])
    h.clock.advance(1)
    assert.deepEqual(await h.due(), ['expired c'])
  })

  test('leave their will at the time that was set before the restart', async h => {
    await h.store.close(await h.claim({ will: willOf('w', 10_000) }), never, true)
    h.clock.advance(4000)
    await h.reopen()
    h.clock.advance(5999)
    assert.deepEqual(await h.due(), [])
    h.clock.advance(1)
    assert.deepEqual(await h.due(), ['will w'])
    await h.reopen()
    assert.deepEqual(await h.due(), [])
  })

  test('that had a connection when the broker was killed expire as if it had ended then, and leave their will', async h => {
    await h.claim({ expiryMs: 10_000, will: willOf('w', 2000) })
    await h.claim({ clientId: 'd', expiryMs: never })
    await h.claim({ clientId: 'e', expiryMs: 0 })
    await h.reopen()
    assert.equal((await h.claim({ clientId: 'd', expiryMs: never })).present, true)
    // The last sign of life that is stored may be a little older than the kill, never younger.
    h.clock.advance(2000)
    const early = await h.due()
    h.clock.advance(8000)
    assert.deepEqual([...early, ...(await h.due())], ['will w', 'expired c'])
    assert.equal((await h.claim({ clientId: 'd' })).present, true)
  })

  test('that ended before the restart do not come back', async h => {
    const session = await h.claim()
    await h.append('x', {})
    await h.store.end(session)
    await h.reopen()
    const again = await h.claim()
    assert.equal(again.present, false)
    assert.ok(again.epoch > session.epoch)
    assert.deepEqual(await h.page(again), [])
  })
}
