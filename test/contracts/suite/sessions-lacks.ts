import assert from 'node:assert/strict'
import type { SessionsCase } from './sessions.ts'
import type { SessionsFeature } from './sessions-harness.ts'

/** An owner that says it lacks something must lack it, so that nobody reads of a limit that is no more. */
export function lackCase(test: SessionsCase, feature: SessionsFeature): void {
  if (feature !== 'user') {
    test(`have no ${feature}`, async h => {
      assert.equal(h.store[feature], undefined)
    })
    return
  }
  test('belong to no user', async h => {
    await h.claim({ user: 'eve' })
    assert.equal((await h.claim({ user: 'adam', userOnly: true })).present, true)
    for await (const { user } of h.store.sessions()) assert.equal(user, undefined)
  })
}
