import assert from 'node:assert/strict'
import type { SessionsCase } from './sessions.ts'
import { messageOf, saysOf, subscriptionOf, willOf } from './sessions-harness.ts'

/** What comes seldom: the end of a session that is not there, and wills that are none, or say nothing. */
export function cornerCases(test: SessionsCase, reopens: boolean): void {
  test('that are not there end as nothing: no error, nothing is dropped, lost or left', async h => {
    assert.equal(await h.store.end({ clientId: 'nobody', epoch: 1 }), null)
    const ended = await h.claim({ will: willOf('w', 0) })
    await h.store.end(ended)
    assert.equal(await h.store.end(ended), null)
    // The end of one that begins and ends with its connection is the broker's affair; the store has nothing of it.
    const clean = await h.claim({ clientId: 'clean', cleanStart: true, expiryMs: 0 })
    assert.equal(await h.store.end(clean), null)
    await h.store.flush()
    h.clock.advance(120_000)
    assert.deepEqual([await h.due(), h.dropped, h.lost], [[], [], []])
    for await (const { clientId } of h.store.sessions()) assert.fail(`${clientId} is there`)
    assert.equal((await h.claim({ clientId: 'nobody' })).present, false)
  })

  test('that have expired and been given out by it end as nothing', async h => {
    const session = await h.claim()
    await h.append('own', {})
    await h.store.close(session, 1000, false)
    h.clock.advance(1000)
    assert.deepEqual(await h.due(), ['expired c'])
    assert.equal(await h.store.end(session), null)
    assert.deepEqual(h.dropped, ['c own sessionEnded'])
  })

  test('have no will where it is null, though their connection was lost, also in place of one before', async h => {
    await h.store.close(await h.claim({ will: null }), 60_000, true)
    await h.store.close(await h.claim({ clientId: 'd', will: willOf('of an earlier connection', 0) }), 60_000, false)
    await h.store.close(await h.claim({ clientId: 'd', will: null }), 60_000, true)
    // Its first connection has not ended for the store when the second begins.
    await h.claim({ clientId: 'e', will: willOf('replaced', 5000) })
    const again = await h.claim({ clientId: 'e', will: null })
    assert.equal(again.orphanedWill ?? null, null)
    await h.store.close(again, 60_000, true)
    h.clock.advance(10_000)
    assert.deepEqual(await h.due(), [])
    if (reopens) await h.reopen()
    assert.deepEqual(await h.due(), [])
    for (const clientId of ['c', 'd']) assert.equal((await h.claim({ clientId })).orphanedWill ?? null, null)
    const ended = await h.store.end(await h.claim({ clientId: 'e' }))
    assert.deepEqual([ended?.clientId, ended?.will], ['e', null])
  })

  test('keep a will that says nothing: no payload, no user, no rights', async h => {
    const message = messageOf(Buffer.alloc(0), { topic: 'state/c', retain: true, qos: 0, origin: 'will', clientId: 'c', username: null })
    const session = await h.claim({ will: { message, delayMs: 0, username: null, rights: null } })
    await h.store.close(session, 60_000, true)
    if (reopens) await h.reopen()
    const [due, ...more] = await h.store.expire(h.clock.now(), 100)
    assert.ok(due?.kind === 'will')
    assert.equal(more.length, 0)
    const { message: left, username, rights, mountPoint } = due.will
    assert.deepEqual([left.payloadLength, username, rights, mountPoint ?? null], [0, null, null, null])
    assert.deepEqual(saysOf(left), saysOf(message))
  })

  test('leave a will that is due once, though their connection ends once more under a new claim', async h => {
    const session = await h.claim({ will: willOf('w', 0) })
    await h.store.subscribe(session, [subscriptionOf('a')])
    await h.store.close(session, 60_000, true)
    assert.deepEqual(await h.due(), ['will w'])
    await h.store.close(await h.claim({ will: null }), 1000, true)
    h.clock.advance(1000)
    assert.deepEqual(await h.due(), ['expired c'])
  })
}
