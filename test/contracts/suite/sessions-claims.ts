import assert from 'node:assert/strict'
import { queuedBytes } from '../../../core/sessions/queue-policy.ts'
import type { SessionsCase } from './sessions.ts'
import { assertLost, messageOf, subscriptionOf, willOf } from './sessions-harness.ts'

/** Who owns a session, since when, and what an owner that has lost it can still do: nothing. */
export function claimCases(test: SessionsCase): void {
  test('are new at their first claim and present at the next; each claim has a higher epoch', async h => {
    const first = await h.claim()
    const second = await h.claim()
    const other = await h.claim({ clientId: 'd' })
    assert.deepEqual([first.present, second.present, other.present], [false, true, false])
    assert.ok(second.epoch > first.epoch)
  })

  test('have one newest owner after many claims at once: the last', async h => {
    const claims = await Promise.all(Array.from({ length: 20 }, (_, node) => h.claim({ node })))
    const epochs = claims.map(({ epoch }) => epoch)
    assert.deepEqual(
      epochs,
      [...new Set(epochs)].sort((a, b) => a - b),
    )
    assert.deepEqual(
      claims.map(({ present }) => present),
      claims.map((_, i) => i > 0),
    )
    await h.store.subscribe(claims.at(-1)!, [subscriptionOf('a')])
    await assertLost(h.store.subscribe(claims.at(-2)!, [subscriptionOf('b')]))
  })

  test('are not kept where they end with their connection', async h => {
    const { epoch, ...claim } = await h.claim({ expiryMs: 0, cleanStart: true })
    const empty = { messages: 0, bytes: 0 }
    const nothing = { present: false, subscriptions: [], receivedIds: [], queued: empty, ended: null }
    assert.deepEqual(claim, { clientId: 'c', ...nothing })
    assert.equal(typeof epoch, 'number')
    assert.equal((await h.claim()).present, false)
  })

  test('go on for a connection with which they are to end', async h => {
    await h.store.subscribe(await h.claim(), [subscriptionOf('a')])
    await h.append('kept', {})
    const last = await h.claim({ expiryMs: 0 })
    assert.equal(last.present, true)
    assert.deepEqual(last.subscriptions, [subscriptionOf('a')])
    assert.deepEqual(await h.payloads(last), ['kept'])
  })

  for (const expiryMs of [0, 60_000]) {
    test(`end at a clean start with an expiry of ${expiryMs}, and say what they leave`, async h => {
      const session = await h.claim({ will: willOf('w', 1000) })
      await h.store.subscribe(session, [subscriptionOf('a')])
      await h.store.append(messageOf('received'), [], { session, packetId: 3 })
      await h.append('shared', { group: 'g/a' })
      await h.append('own', {})
      await h.append('got', { qos: 2, packetId: 4 })
      await h.store.release(session, 4)
      const { present, subscriptions, receivedIds, ended } = await h.claim({ cleanStart: true, expiryMs })
      assert.deepEqual({ present, subscriptions, receivedIds }, { present: false, subscriptions: [], receivedIds: [] })
      assert.equal(ended?.clientId, 'c')
      assert.deepEqual(
        ended?.shared.map(entry => entry.message.payload.toString()),
        ['shared'],
      )
      assert.equal(ended?.will?.message.payload.toString(), 'w')
      // What the client has, as its PUBREC said, is no drop.
      assert.deepEqual(h.dropped, ['c own sessionEnded'])
      assert.deepEqual(await h.page(await h.claim()), [])
    })
  }

  test('take no write from an owner that has lost them', async h => {
    const old = await h.claim()
    await h.append('kept', { packetId: 1 })
    const owner = await h.claim()
    const { store } = h
    for (const verb of [
      () => store.page(old, 0, 10),
      () => store.send(old, 1, 9),
      () => store.ack(old, 1),
      () => store.remove(old, 1),
      () => store.release(old, 1),
      () => store.forget(old, 1),
      () => store.subscribe(old, [subscriptionOf('a')]),
      () => store.unsubscribe(old, ['a']),
      () => store.close(old, 1, true),
      () => store.end(old),
      () => store.append(messageOf('refused'), [h.target()], { session: old, packetId: 5 }),
    ])
      await assertLost(verb())
    // Nothing of a refused append is kept, not even for others.
    assert.deepEqual(await h.payloads(owner), ['kept'])
    assert.deepEqual((await h.claim()).receivedIds, [])
    // And the close did not start the clock of the one that goes on.
    h.clock.advance(60_000)
    assert.deepEqual(await h.due(), [])
  })

  test('take no write from the owner of an earlier life', async h => {
    const old = await h.claim()
    await h.store.end(old)
    const owner = await h.claim()
    assert.ok(owner.epoch > old.epoch)
    await assertLost(h.store.subscribe(old, [subscriptionOf('a')]))
    await assertLost(h.store.end(old))
    assert.deepEqual((await h.claim()).subscriptions, [])
  })

  test('keep a message without its packet identifier where the owner who gave that has lost them', async h => {
    const old = await h.claim()
    const owner = await h.claim()
    await h.append('live', { packetId: 1, epoch: old.epoch })
    await h.append('from anybody', { epoch: old.epoch })
    assert.deepEqual(h.lost, [{ clientId: 'c', epoch: old.epoch }])
    assert.deepEqual(await h.payloads(owner), ['live', 'from anybody'])
    assert.deepEqual(
      (await h.flight(owner)).map(([packetId]) => packetId),
      [0, 0],
    )
  })

  test('are claimed behind all writes called before', async h => {
    const session = await h.claim()
    const writes = [
      h.store.append(messageOf('1'), [h.target({ packetId: 1 })], null),
      h.store.append(messageOf('2'), [h.target({ packetId: 2 })], { session, packetId: 7 }),
      h.store.ack(session, 1),
      h.store.subscribe(session, [subscriptionOf('a')]),
    ]
    const next = await h.claim()
    await Promise.all(writes)
    assert.deepEqual(next.receivedIds, [7])
    assert.deepEqual(next.subscriptions, [subscriptionOf('a')])
    assert.deepEqual(await h.flight(next), [[2, false]])
  })

  test('say at a claim how much waits for them', async h => {
    assert.deepEqual((await h.claim()).queued, { messages: 0, bytes: 0 })
    await h.append('1', { packetId: 1 })
    await h.append('2', {})
    const again = await h.claim()
    assert.deepEqual(again.queued, { messages: 2, bytes: 2 * queuedBytes(messageOf('1')) })
    await h.store.ack(again, 1)
    await h.store.remove(again, (await h.page(again))[0]!.position)
    assert.deepEqual((await h.claim()).queued, { messages: 0, bytes: 0 })
  })

  test('keep subscriptions as they were made, the newest of each filter, for claims and for the routing table', async h => {
    const session = await h.claim()
    const every = subscriptionOf('größe/+/#', 0, { noLocal: true, retainAsPublished: true, retainHandling: 2, identifier: 268_435_455 })
    // The name that its client knows it by is a topic filter of any kind.
    const shared = subscriptionOf('$share/g/b/+', 1, { requested: '$share/g/1,2,größe/+' })
    await h.store.subscribe(session, [subscriptionOf('a', 1), subscriptionOf('b', 1), subscriptionOf('a', 2), every, shared])
    await h.store.unsubscribe(session, ['b', 'never'])
    const byFilter = (a: { filter: string }, b: { filter: string }) => (a.filter < b.filter ? -1 : 1)
    const expected = [subscriptionOf('a', 2), every, shared].sort(byFilter)
    assert.deepEqual([...(await h.claim()).subscriptions].sort(byFilter), expected)
    await h.claim({ clientId: 'silent' })
    const all = new Map<string, unknown>()
    for await (const { clientId, subscriptions } of h.store.sessions()) all.set(clientId, [...subscriptions].sort(byFilter))
    assert.deepEqual(
      all,
      new Map([
        ['c', expected],
        ['silent', []],
      ]),
    )
  })

  test('are all told for the routing table, however many', async h => {
    await Promise.all(
      Array.from({ length: 1500 }, async (_, i) => h.store.subscribe(await h.claim({ clientId: `c${i}` }), [subscriptionOf(`t/${i}`)])),
    )
    const told: string[] = []
    for await (const { clientId, subscriptions } of h.store.sessions()) told.push(`${clientId} ${subscriptions[0]?.filter}`)
    assert.deepEqual(told.sort(), Array.from({ length: 1500 }, (_, i) => `c${i} t/${i}`).sort())
  })
}
