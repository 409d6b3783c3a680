import assert from 'node:assert/strict'
import { queuedBytes } from '../../../core/sessions/queue-policy.ts'
import type { StoredSessionState } from '../../../core/sessions/session-store.ts'
import type { SessionsCase } from './sessions.ts'
import { messageOf, type SessionsHarness, saysOf, subscriptionOf, willOf } from './sessions-harness.ts'

const never = Number.POSITIVE_INFINITY

/** A session whole, as whoever copies it reads it, and what a copy is made of. */
export function copyCases(test: SessionsCase, reopens: boolean): void {
  const inspect = async ({ store }: SessionsHarness, clientId = 'c'): Promise<object | null> => {
    const state: StoredSessionState | null = await store.inspect!(clientId)
    if (state === null) return null
    const { will, subscriptions, receivedIds } = state
    return {
      ...state,
      will: will === null ? null : { ...will, message: saysOf(will.message) },
      subscriptions: [...subscriptions].sort((a, b) => (a.filter < b.filter ? -1 : 1)),
      receivedIds: [...receivedIds].sort((a, b) => a - b),
    }
  }

  test('show all of one to whoever copies it', async h => {
    assert.equal(await inspect(h), null)
    const will = willOf('bye', 5000, { username: 'eve', rights: { level: 3 } })
    const session = await h.claim({ user: 'eve', node: 'here', expiryMs: 600_000, will })
    const subscriptions = [subscriptionOf('a', 2, { noLocal: true, identifier: 7 }), subscriptionOf('own/a', 1, { requested: 'a' })]
    await h.store.subscribe(session, subscriptions)
    const receivedIds = [7, 40_000]
    for (const packetId of receivedIds) await h.store.append(messageOf('x'), [], { session, packetId })
    await h.append('in flight', { packetId: 1 })
    const queued = { messages: 1, bytes: queuedBytes(messageOf('in flight')) }
    const shownWill = { ...will, message: saysOf(will.message) }
    const rest = { will: shownWill, subscriptions, receivedIds, queued }
    const state = { clientId: 'c', user: 'eve', node: 'here', closedAt: null, expiryMs: 600_000, ...rest }
    assert.deepEqual(await inspect(h), state)
    // The expiry that counts is the one that it was closed with.
    await h.store.close(session, 20_000, true)
    assert.deepEqual(await inspect(h), { ...state, node: null, closedAt: h.clock.now(), expiryMs: 20_000 })
    h.clock.advance(5000)
    assert.deepEqual(await h.due(), ['will bye'])
    assert.deepEqual(await inspect(h), { ...state, node: null, closedAt: h.clock.now() - 5000, expiryMs: 20_000, will: null })
    await h.store.end(await h.claim({ user: 'eve' }))
    assert.equal(await inspect(h), null)
  })

  test('that never expire and have no will say of no moment when they were closed', async h => {
    await h.store.close(await h.claim({ expiryMs: never }), never, false)
    const nothing = { will: null, subscriptions: [], receivedIds: [], queued: { messages: 0, bytes: 0 } }
    assert.deepEqual(await inspect(h), { clientId: 'c', user: null, node: null, closedAt: null, expiryMs: never, ...nothing })
  })

  test('may have been closed before now: what counts from then has been counting', async h => {
    const ago = h.clock.now() - 7000
    const session = await h.claim({ clientId: 'w', will: willOf('bye', 10_000) })
    await h.store.close(session, 60_000, true, ago)
    await h.store.close(await h.claim(), 8000, false, ago)
    await h.store.close(await h.claim({ clientId: 'over' }), 7000, false, ago)
    assert.deepEqual(await h.due(), ['expired over'])
    h.clock.advance(1000)
    assert.deepEqual(await h.due(), ['expired c'])
    h.clock.advance(2000)
    assert.deepEqual(await h.due(), ['will bye'])
    assert.deepEqual(await h.due(), [])
  })

  test('may belong to nobody knows whom, and then go to the first who claims them', async h => {
    await h.store.close(await h.claim({ user: undefined }), never, false)
    assert.equal(Object.hasOwn((await inspect(h))!, 'user'), false)
    for await (const subscriber of h.store.sessions()) assert.equal(Object.hasOwn(subscriber, 'user'), false)
    assert.equal((await h.claim({ user: 'adam', userOnly: true })).present, true)
    await assert.rejects(async () => h.claim({ user: 'eve', userOnly: true }), { code: 'ERR_SESSION_OWNED' })
  })

  if (!reopens) return
  test('show after a restart what they showed before', async h => {
    const session = await h.claim({ user: undefined, will: willOf('bye', 5000) })
    await h.store.subscribe(session, [subscriptionOf('a')])
    await h.store.append(messageOf('x'), [], { session, packetId: 9 })
    await h.store.close(session, 60_000, true, h.clock.now() - 1000)
    const before = await inspect(h)
    await h.reopen()
    assert.deepEqual(await inspect(h), before)
  })
}
