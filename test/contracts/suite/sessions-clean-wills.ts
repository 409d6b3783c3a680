import assert from 'node:assert/strict'
import type { SessionsCase } from './sessions.ts'
import { messageOf, saysOf, willOf } from './sessions-harness.ts'

/** Wills of sessions that end with their connection, kept apart from `claim`. */
export function cleanWillCases(test: SessionsCase, reopens: boolean): void {
  test('that end with their connection have no will that comes due while their broker lives', async h => {
    const { epoch } = await h.claim({ expiryMs: 0, cleanStart: true })
    await h.store.keepWill!('c', 1, willOf('w', 0))
    h.clock.advance(60_000)
    assert.deepEqual(await h.due(), [])
    // Neither a later connection, whose broker is the same, nor the end of this one makes it due.
    const later = await h.claim({ expiryMs: 0, cleanStart: true })
    assert.ok(later.epoch > epoch)
    assert.equal(later.orphanedWill ?? null, null)
    await h.store.keepWill!('c', 1, null)
    assert.deepEqual(await h.due(), [])
  })

  test('that end with their connection have none to forget where there is none', async h => {
    await h.store.keepWill!('nobody', 1, null)
    await h.store.keepWill!('c', 1, willOf('w', 0))
    await h.store.keepWill!('c', 1, null)
    await h.store.keepWill!('c', 1, null)
    await h.store.flush()
    if (reopens) await h.reopen()
    assert.deepEqual(await h.due(), [])
    assert.equal((await h.claim({ expiryMs: 0, cleanStart: true })).orphanedWill ?? null, null)
  })

  if (!reopens) return
  test('that end with their connection leave their will, whatever its delay, when their broker has died: once, and as it is', async h => {
    const properties = { contentType: 'text/plain', correlationData: Buffer.from([0, 255]), userProperties: [['k', 'v'] as const] }
    const message = messageOf('offline', { topic: 'wills/größe', qos: 1, retain: true, origin: 'will', clientId: 'c', properties })
    const rights = { authorizedPub: ['wills/#'], authorizedSub: [] }
    await h.claim({ expiryMs: 0, cleanStart: true })
    await h.store.keepWill!('c', 1, { message, delayMs: 3_600_000, username: 'user', rights, mountPoint: 'a/' })
    await h.reopen()
    const [due, ...more] = await h.store.expire(h.clock.now(), 100)
    assert.deepEqual(more, [])
    assert.ok(due?.kind === 'will')
    assert.equal(due.clientId, 'c')
    const { message: _message, delayMs: _delay, ...speaksFor } = due.will
    assert.deepEqual(speaksFor, { username: 'user', rights, mountPoint: 'a/' })
    assert.deepEqual(saysOf(due.will.message), saysOf(message))
    await h.store.flush()
    await h.reopen()
    assert.deepEqual(await h.due(), [])
  })

  test('that end with their connection leave the last will of each client id, and none that was forgotten', async h => {
    for (const [clientId, will] of [
      ['c', willOf('first', 0)],
      ['d', willOf('gone', 0)],
      ['d', null],
      ['e', null],
      ['c', willOf('second', 0)],
      ['f', willOf('again', 0)],
      ['f', null],
      ['f', willOf('other', 0)],
    ] as const) {
      await h.store.keepWill!(clientId, 1, will)
    }
    await h.reopen()
    assert.deepEqual((await h.due()).sort(), ['will other', 'will second'])
  })

  test('that end with their connection leave their wills a limited number at a time, and all in the end', async h => {
    await Promise.all(Array.from({ length: 7 }, (_, i) => h.store.keepWill!(`c${i}`, 1, willOf(String(i), 0))))
    await h.reopen()
    const found: string[][] = []
    for (let i = 0; i < 4; i++) found.push(await h.due(3))
    assert.deepEqual(
      found.map(({ length }) => length),
      [3, 3, 1, 0],
    )
    assert.equal(new Set(found.flat()).size, 7)
  })

  for (const expiryMs of [0, 60_000]) {
    test(`hand a will of a broker that has died to the next claim of its client id, once; expiry ${expiryMs}`, async h => {
      await h.store.keepWill!('c', 1, willOf('offline', 0))
      await h.reopen()
      const { present, orphanedWill } = await h.claim({ cleanStart: true, expiryMs })
      assert.deepEqual([present, orphanedWill?.message.payload.toString()], [false, 'offline'])
      // What the new connection brings is another will.
      await h.store.keepWill!('c', 1, willOf('of the next', 0))
      assert.deepEqual(await h.due(), [])
      assert.equal((await h.claim({ cleanStart: true, expiryMs })).orphanedWill ?? null, null)
      await h.store.flush()
      await h.reopen()
      assert.deepEqual(await h.due(), ['will of the next'])
    })
  }
}
