import assert from 'node:assert/strict'
import type { SessionsCase } from './sessions.ts'
import { subscriptionOf } from './sessions-harness.ts'

/** What a store does that loses all that it has kept, though nobody asked it to. */
export function emptiedCases(test: SessionsCase): void {
  test('that are gone from a store that was emptied are noticed, once each time', async h => {
    for (let times = 1; times <= 2; times++) {
      const session = await h.claim()
      await h.store.subscribe(session, [subscriptionOf('a')])
      await h.append('lost', {})
      assert.equal(h.emptied, times - 1)
      await h.empty()
      // Whatever this is answered with: afterwards the store knows.
      await Promise.resolve(h.store.subscribe(session, [subscriptionOf('b')])).catch(() => {})
      await h.store.flush()
      assert.equal(h.emptied, times)
    }
    assert.equal((await h.claim()).present, false)
  })
}
