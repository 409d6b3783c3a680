import assert from 'node:assert/strict'
import type { State, StateEntry } from '../../../plugins/kit/services/state.ts'
import { stateBounds } from '../../../plugins/kit/state-table.ts'
import { ManualClock } from '../../../presets/testing/manual-clock.ts'
import type { ContractRunner } from './runner.ts'

/** An owner of the `state` service that is to be proven. */
export interface StateOwner {
  /** Completes "the state kept …". */
  readonly name: string
  /** Makes one that holds nothing yet, on a clock that only the suite moves. */
  create(clock: ManualClock): State | Promise<State>
  /** Makes another one, of another node, on the same; left out where it is not shared. */
  join?(state: State, clock: ManualClock): State | Promise<State>
  /** Takes one from its broker as `kill -9` would and returns another on what it kept; left out where nothing is kept that long. */
  reopen?(state: State, clock: ManualClock): State | Promise<State>
  /** Loses all that is kept, as a server does that comes back empty; left out where that cannot be. */
  empty?(): Promise<void>
  /** Stops what keeps it, and starts it again: `back`. Left out where that cannot be. */
  away?(): Promise<{ back(): Promise<void> }>
  /** Frees what a test's last owner holds. */
  dispose?(state: State): void | Promise<void>
}

// By then each node has looked at what others have changed, should their word have been lost.
const lookMs = 5000

class StateHarness {
  readonly clock = new ManualClock()
  readonly all: State[] = []
  state!: State

  /** Resolves when a node shows what is expected; the suite's time goes on meanwhile, so that whoever looks now and then does so. */
  async shows(state: State, key: string, value: string | undefined): Promise<void> {
    while (state.get(key)?.value !== value) {
      this.clock.advance(lookMs)
      await new Promise(resolve => setImmediate(resolve))
    }
  }
}

/** The contract of the `state` service (`State` of mqttx-broker/kit), for any owner. */
export function stateContract({ describe, it }: ContractRunner, owner: StateOwner): void {
  describe(`the state kept ${owner.name}`, () => {
    const test = (title: string, run: (harness: StateHarness) => Promise<void>) =>
      it(title, async () => {
        const harness = new StateHarness()
        harness.state = await owner.create(harness.clock)
        harness.all.push(harness.state)
        try {
          await run(harness)
        } finally {
          for (const state of harness.all) await owner.dispose?.(state)
        }
      })

    test('shows what was set last, and nothing once it is taken away', async ({ state }) => {
      assert.equal(state.get('a/1'), undefined)
      await state.set('a/1', 'one')
      assert.deepEqual(plain(state.get('a/1')), { key: 'a/1', value: 'one', expiresAt: Number.POSITIVE_INFINITY })
      await Promise.all([state.set('a/1', 'two'), state.set('a/2', ''), state.set('b/1', 'größe ☃'), state.set('a/1', 'three')])
      assert.deepEqual(state.entries('a/').map(plain).sort(byKey), [
        { key: 'a/1', value: 'three', expiresAt: Number.POSITIVE_INFINITY },
        { key: 'a/2', value: '', expiresAt: Number.POSITIVE_INFINITY },
      ])
      assert.equal(state.get('b/1')?.value, 'größe ☃')
      assert.deepEqual([await state.delete('a/1'), await state.delete('a/1'), await state.delete('never')], [true, false, false])
      assert.equal(state.get('a/1'), undefined)
      assert.deepEqual(
        state
          .entries('')
          .map(({ key }) => key)
          .sort(),
        ['a/2', 'b/1'],
      )
    })

    test('takes a key away when its time has come, not a millisecond before, and says so', async ({ state, clock }) => {
      const told: string[] = []
      state.watch('', (key, entry) => told.push(`${key} ${entry?.value ?? 'gone'}`))
      const at = clock.now()
      await state.set('short', 'x', at + 10_000)
      await state.set('long', 'y', at + 100_000)
      assert.equal(Math.round(state.get('short')!.expiresAt), Math.round(at + 10_000))
      clock.advance(9998)
      assert.equal(state.get('short')?.value, 'x')
      clock.advance(3)
      assert.equal(state.get('short'), undefined)
      assert.deepEqual(
        state.entries('').map(({ key }) => key),
        ['long'],
      )
      assert.deepEqual(told, ['short x', 'long y', 'short gone'])
      // What has expired takes nothing along that was put in its place.
      await state.set('short', 'again')
      clock.advance(100_000)
      assert.equal(state.get('short')?.value, 'again')
      assert.equal(state.get('long'), undefined)
    })

    test('tells each change of the keys that are watched, as it is kept, until nobody listens', async ({ state }) => {
      const told: string[] = []
      const end = state.watch('a/', (key, entry) => told.push(`${key} ${entry?.value ?? 'gone'}`))
      await state.set('a/1', 'x')
      await state.set('a/1', 'x')
      await state.set('b/1', 'x')
      await state.set('a/1', 'y')
      await state.delete('a/1')
      await state.delete('a/1')
      end()
      await state.set('a/1', 'z')
      assert.deepEqual(told, ['a/1 x', 'a/1 y', 'a/1 gone'])
    })

    test('refuses what is too long, and that alone; nothing of it is kept', async ({ state }) => {
      const { keyBytes, valueBytes } = stateBounds
      await assert.rejects(state.set('', 'x'), { code: 'ERR_MESSAGE_REFUSED' })
      await assert.rejects(state.set('k'.repeat(keyBytes + 1), 'x'), { code: 'ERR_MESSAGE_REFUSED' })
      await assert.rejects(state.set('k', 'x'.repeat(valueBytes + 1)), { code: 'ERR_MESSAGE_REFUSED' })
      assert.deepEqual(state.entries(''), [])
      await state.set('k'.repeat(keyBytes), 'x'.repeat(valueBytes))
      assert.equal(state.get('k'.repeat(keyBytes))?.value.length, valueBytes)
    })

    test('has a bound: what comes beyond is refused, and what is there can be changed and taken away', async ({ state }) => {
      const value = 'x'.repeat(stateBounds.valueBytes)
      const most = Math.floor(stateBounds.bytes / (stateBounds.valueBytes + 8))
      await Promise.all(Array.from({ length: most }, (_, i) => state.set(`k/${String(i).padStart(6, '0')}`, value)))
      await assert.rejects(state.set('more', value), { code: 'ERR_STORE_FULL' })
      assert.equal(state.get('more'), undefined)
      await state.set('k/000001', 'short')
      assert.equal(await state.delete('k/000002'), true)
      await state.set('more', value)
    })

    const { join, reopen, empty, away } = owner
    if (join !== undefined) {
      test('is known to all nodes, and what one does, the others are told', async harness => {
        const { state, clock } = harness
        await state.set('a/1', 'x')
        await state.set('a/2', 'y', clock.now() + 1e9)
        const other = await join(state, clock)
        harness.all.push(other)
        assert.deepEqual(
          other
            .entries('')
            .map(({ key }) => key)
            .sort(),
          ['a/1', 'a/2'],
        )
        assert.ok(Math.abs(other.get('a/2')!.expiresAt - state.get('a/2')!.expiresAt) < 2)
        const told: string[] = []
        other.watch('a/', (key, entry) => told.push(`${key} ${entry?.value ?? 'gone'}`))
        await state.set('a/1', 'z')
        await harness.shows(other, 'a/1', 'z')
        await other.set('a/3', 'mine')
        await harness.shows(state, 'a/3', 'mine')
        await state.delete('a/1')
        await harness.shows(other, 'a/1', undefined)
        assert.deepEqual(told, ['a/1 z', 'a/3 mine', 'a/1 gone'])
        // Of two who change the same, one is the last for both.
        await Promise.all([state.set('a/4', '1'), other.set('a/4', '2')])
        const third = await join(state, clock)
        harness.all.push(third)
        const last = third.get('a/4')!.value
        await harness.shows(state, 'a/4', last)
        await harness.shows(other, 'a/4', last)
      })
    }

    if (reopen !== undefined) {
      test('is what it was after the broker was killed', async harness => {
        const { clock } = harness
        const { state } = harness
        const at = clock.now()
        await state.set('a', 'old')
        await state.set('a', 'new')
        await state.set('gone', 'x')
        await state.delete('gone')
        await state.set('short', 'x', at + 10_000)
        await state.set('long', 'x', at + 100_000)
        const again = await reopen(state, clock)
        harness.all.splice(0, 1, again)
        assert.deepEqual(
          again
            .entries('')
            .map(({ key, value }) => `${key} ${value}`)
            .sort(),
          ['a new', 'long x', 'short x'],
        )
        clock.advance(10_001)
        assert.deepEqual(
          again
            .entries('')
            .map(({ key }) => key)
            .sort(),
          ['a', 'long'],
        )
        const later = await reopen(again, clock)
        harness.all.splice(0, 1, later)
        assert.deepEqual(
          later
            .entries('')
            .map(({ key }) => key)
            .sort(),
          ['a', 'long'],
        )
        assert.ok(Math.abs(later.get('long')!.expiresAt - (at + 100_000)) < 2)
      })
    }

    if (empty !== undefined && join !== undefined) {
      test('is written again where what kept it comes back empty: a ban does not end by that', async harness => {
        const { state, clock } = harness
        await state.set('a', 'x')
        await state.set('b', 'y', clock.now() + 1e9)
        await empty()
        for (;;) {
          clock.advance(lookMs)
          await new Promise(resolve => setImmediate(resolve))
          const other = await join(state, clock)
          const found = other
            .entries('')
            .map(({ key }) => key)
            .sort()
          await owner.dispose?.(other)
          if (found.length === 2) break
        }
        assert.deepEqual([state.get('a')?.value, state.get('b')?.value], ['x', 'y'])
      })
    }

    if (away !== undefined) {
      test('goes on being read while what keeps it is away; what is changed meanwhile is refused, and nothing is lost', async harness => {
        const { state } = harness
        await state.set('a', 'x')
        const { back } = await away()
        await assert.rejects(state.set('b', 'y'), { code: 'ERR_STORE_AWAY' })
        await assert.rejects(state.delete('a'), { code: 'ERR_STORE_AWAY' })
        assert.equal(state.get('a')?.value, 'x')
        await back()
        for (;;) {
          try {
            await state.set('c', 'z')
            break
          } catch (error) {
            assert.equal((error as { code?: string }).code, 'ERR_STORE_AWAY')
            await new Promise(resolve => setImmediate(resolve))
          }
        }
        assert.equal(state.get('c')?.value, 'z')
      })
    }
  })
}

function plain({ key, value, expiresAt }: StateEntry = { key: '', value: '', expiresAt: 0 }): StateEntry {
  return { key, value, expiresAt }
}

function byKey(a: StateEntry, b: StateEntry): number {
  return a.key < b.key ? -1 : 1
}
