import assert from 'node:assert/strict'
import { SessionOwnedError } from '../../../core/sessions/session-store.ts'
import type { SessionsCase } from './sessions.ts'
import { type SessionsHarness, subscriptionOf, willOf } from './sessions-harness.ts'

/** The user that each stored session belongs to, by client id; `undefined` where it is unknown. */
async function usersOf({ store }: SessionsHarness): Promise<Record<string, string | null | undefined>> {
  const users: Record<string, string | null | undefined> = {}
  for await (const { clientId, user } of store.sessions()) users[clientId] = user
  return users
}

/** A claim for the owner only must have been refused, and the refusal names the owner. */
async function assertOwned(claim: Promise<unknown>, owner: string | null): Promise<void> {
  await assert.rejects(claim, error => error instanceof SessionOwnedError && error.code === 'ERR_SESSION_OWNED' && error.owner === owner)
}

/** The user that a session belongs to. */
export function userCases(test: SessionsCase, reopens: boolean): void {
  test('belong to the user that claimed them last', async h => {
    await h.claim({ user: 'eve' })
    await h.claim({ clientId: 'd', user: null })
    assert.deepEqual(await usersOf(h), { c: 'eve', d: null })
    assert.equal((await h.claim({ user: 'adam' })).present, true)
    assert.deepEqual(await usersOf(h), { c: 'adam', d: null })
  })

  for (const [state, owner] of [
    ['connected', 'eve'],
    ['closed', 'eve'],
    ['closed', null],
  ] as const) {
    test(`are refused to another user where only their owner may have them, and stay as they are: ${state}, of ${owner}`, async h => {
      const session = await h.claim({ user: owner, will: willOf('w', 5000) })
      await h.store.subscribe(session, [subscriptionOf('a')])
      await h.append('in flight', { packetId: 7 })
      await h.append('waits', {})
      if (state === 'closed') await h.store.close(session, 60_000, true)
      for (const request of [{}, { cleanStart: true }, { cleanStart: true, expiryMs: 0 }, { will: willOf('not this', 0) }]) {
        await assertOwned(h.claim({ user: 'adam', userOnly: true, ...request }), owner)
      }
      if (owner !== null) await assertOwned(h.claim({ user: null, userOnly: true }), owner)
      // Whoever is connected goes on, and the clocks of a closed session go on, too.
      if (state === 'connected') await h.store.close(session, 60_000, true)
      h.clock.advance(5000)
      assert.deepEqual(await h.due(), ['will w'])
      assert.deepEqual(await usersOf(h), { c: owner })
      const again = await h.claim({ user: owner, userOnly: true })
      assert.equal(again.present, true)
      assert.deepEqual(again.subscriptions, [subscriptionOf('a')])
      assert.deepEqual(await h.payloads(again), ['in flight', 'waits'])
      assert.deepEqual(h.dropped, [])
    })
  }

  test('go to the first of several users who claim them at once', async h => {
    const claims = await Promise.allSettled(['eve', 'adam', 'eve', null].map(user => h.claim({ user, userOnly: true })))
    assert.deepEqual(
      claims.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled', 'rejected'],
    )
    assert.deepEqual(await usersOf(h), { c: 'eve' })
  })

  test('that have expired or ended belong to nobody', async h => {
    await h.store.close(await h.claim({ user: 'eve' }), 10_000, false)
    h.clock.advance(10_000)
    const { present, ended } = await h.claim({ user: 'adam', userOnly: true })
    assert.deepEqual([present, ended?.clientId], [false, 'c'])
    await h.store.end(await h.claim({ user: 'adam', userOnly: true }))
    assert.equal((await h.claim({ user: null, userOnly: true })).present, false)
    assert.deepEqual(await usersOf(h), { c: null })
  })

  if (!reopens) return
  test('belong to their user after a restart, too', async h => {
    await h.claim({ user: 'eve' })
    await h.claim({ clientId: 'd', user: null })
    await h.claim({ clientId: 'e', user: 'größer 名' })
    await h.reopen()
    assert.deepEqual(await usersOf(h), { c: 'eve', d: null, e: 'größer 名' })
    await assertOwned(h.claim({ user: 'adam', userOnly: true }), 'eve')
    await assertOwned(h.claim({ clientId: 'd', user: 'adam', userOnly: true }), null)
    assert.equal((await h.claim({ user: 'eve', userOnly: true })).present, true)
    assert.equal((await h.claim({ clientId: 'd', user: null, userOnly: true })).present, true)
  })
}
