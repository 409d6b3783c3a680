import assert from 'node:assert/strict'
import type { SessionsCase } from './sessions.ts'
import { messageOf, saysOf, subscriptionOf, willOf } from './sessions-harness.ts'

const never = Number.POSITIVE_INFINITY

/** Expiry, wills and their delays, each of which happens once. */
export function endingCases(test: SessionsCase): void {
  test('expire when they have been closed for so long, once; a claim before that goes on with them', async h => {
    await h.store.close(await h.claim(), 10_000, false)
    h.clock.advance(9999)
    assert.deepEqual(await h.due(), [])
    const again = await h.claim()
    assert.equal(again.present, true)
    h.clock.advance(60_000)
    assert.deepEqual(await h.due(), [])
    await h.store.close(again, 10_000, false)
    h.clock.advance(10_000)
    assert.deepEqual(await h.due(), ['expired c'])
    assert.deepEqual(await h.due(), [])
    const { present, ended } = await h.claim()
    assert.deepEqual({ present, ended }, { present: false, ended: null })
  })

  test('say what they leave when they expire', async h => {
    const session = await h.claim()
    await h.store.subscribe(session, [subscriptionOf('a'), subscriptionOf('$share/g/b')])
    await h.append('shared', { group: 'g/b', packetId: 3, qos: 2 })
    await h.append('own', {})
    await h.store.close(session, 1000, false)
    h.clock.advance(1000)
    const [expired] = await h.store.expire(h.clock.now(), 100)
    assert.ok(expired?.kind === 'expired')
    const { subscriptions, shared, will } = expired.session
    assert.deepEqual(subscriptions.map(({ filter }) => filter).sort(), ['$share/g/b', 'a'])
    assert.deepEqual(
      shared.map(({ message, packetId, qos, group }) => [message.payload.toString(), packetId, qos, group]),
      [['shared', 3, 2, 'g/b']],
    )
    assert.equal(will, null)
    assert.deepEqual(h.dropped, ['c own sessionEnded'])
  })

  test('that nobody has looked through are expired for a claim too', async h => {
    await h.store.close(await h.claim(), 10_000, false)
    h.clock.advance(10_001)
    const { present, ended } = await h.claim()
    assert.equal(present, false)
    assert.equal(ended?.clientId, 'c')
    assert.deepEqual(await h.due(), [])
  })

  test('never expire where that was asked for', async h => {
    await h.store.close(await h.claim({ expiryMs: never }), never, false)
    h.clock.sleep(1e13)
    assert.deepEqual(await h.due(), [])
    assert.equal((await h.claim()).present, true)
  })

  test('leave their will when its delay is over, once, and go on', async h => {
    await h.store.close(await h.claim({ will: willOf('late', 5000) }), 60_000, true)
    await h.store.close(await h.claim({ clientId: 'd', will: willOf('well', 5000) }), 60_000, false)
    // Back before the delay was over.
    await h.store.close(await h.claim({ clientId: 'e', will: willOf('back', 5000) }), 60_000, true)
    await h.claim({ clientId: 'e', will: null })
    h.clock.advance(4999)
    assert.deepEqual(await h.due(), [])
    h.clock.advance(1)
    assert.deepEqual(await h.due(), ['will late'])
    assert.deepEqual(await h.due(), [])
    assert.equal((await h.claim()).present, true)
    // Nor does it come back with the session.
    h.clock.advance(60_000)
    assert.deepEqual(await h.due(), ['expired d'])
  })

  test('leave their will though they never expire', async h => {
    await h.store.close(await h.claim({ expiryMs: never, will: willOf('w', 0) }), never, true)
    assert.deepEqual(await h.due(), ['will w'])
    h.clock.advance(1e9)
    assert.deepEqual(await h.due(), [])
  })

  test('keep a will as it is, and whose it is', async h => {
    const properties = {
      contentType: 'text/plain',
      correlationData: Buffer.from([0, 255]),
      userProperties: [['k', 'v'] as const],
      messageExpiry: 7,
    }
    const message = messageOf(Buffer.from([0, 1, 255]), {
      topic: 'wills/größe',
      qos: 1,
      retain: true,
      origin: 'will',
      clientId: 'c',
      properties,
    })
    const rights = { authorizedPub: ['wills/#'], authorizedSub: [] }
    await h.store.close(await h.claim({ will: { message, delayMs: 0, username: 'user', rights, mountPoint: 'a/' } }), 60_000, true)
    const [due] = await h.store.expire(h.clock.now(), 1)
    assert.ok(due?.kind === 'will')
    assert.equal(due.clientId, 'c')
    const { message: _message, delayMs: _delay, ...speaksFor } = due.will
    assert.deepEqual(speaksFor, { username: 'user', rights, mountPoint: 'a/' })
    assert.deepEqual(saysOf(due.will.message), saysOf(message))
  })

  test('that expire before their will is due leave it', async h => {
    await h.store.close(await h.claim({ will: willOf('left', 60_000) }), 1000, true)
    h.clock.advance(1000)
    const [expired] = await h.store.expire(h.clock.now(), 100)
    assert.ok(expired?.kind === 'expired')
    assert.equal(expired.session.will?.message.payload.toString(), 'left')
  })

  test('come due a limited number at a time, and all in the end', async h => {
    for (let i = 0; i < 7; i++) await h.store.close(await h.claim({ clientId: `c${i}` }), 1000, false)
    h.clock.advance(1000)
    const found = []
    for (let i = 0; i < 3; i++) found.push((await h.due(3)).length)
    assert.deepEqual(found, [3, 3, 1])
  })

  test('come due once, however many ask at the same time', async h => {
    for (let i = 0; i < 10; i++) {
      const will = i % 2 === 0 ? willOf(`w${i}`, 1000) : null
      await h.store.close(await h.claim({ clientId: `c${i}`, will }), i % 2 === 0 ? 60_000 : 1000, true)
    }
    h.clock.advance(1000)
    const found = (await Promise.all([h.due(), h.due(4), h.due(), h.due(1)])).flat()
    assert.deepEqual(found.sort(), Array.from({ length: 10 }, (_, i) => (i % 2 === 0 ? `will w${i}` : `expired c${i}`)).sort())
  })

  test('end at once where that is asked for; one that is not there is nothing', async h => {
    const session = await h.claim()
    await h.append('shared', { group: 'g/a', packetId: 3, qos: 2 })
    await h.append('own', { packetId: 4 })
    const ended = await h.store.end(session)
    assert.deepEqual(
      ended?.shared.map(({ packetId, qos }) => [packetId, qos]),
      [[3, 2]],
    )
    assert.deepEqual(h.dropped, ['c own sessionEnded'])
    assert.equal(await h.store.end(session), null)
    assert.equal((await h.claim()).present, false)
    await h.store.flush()
  })
}
