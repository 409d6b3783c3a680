import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { TimerWheel, type WheelItem } from '../../core/time/timer-wheel.ts'

const tickMs = 100
// A moment that is no multiple of the tick, as in real life.
const start = Date.UTC(2026, 0, 1) + 37

function item(onTimer: (now: number) => void = () => {}): WheelItem {
  return { next: null, previous: null, dueAt: 0, onTimer }
}

describe('the wheel against a list of moments', () => {
  const items = 6
  const steps = fc.array(
    fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({
          kind: fc.constant('schedule' as const),
          which: fc.nat(items - 1),
          after: fc.integer({ min: -50, max: 5000 }),
        }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('cancel' as const), which: fc.nat(items - 1) }) },
      { weight: 4, arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: 1500 }) }) },
    ),
    { maxLength: 80, size: 'max' },
  )

  test('fires each item once, never early and at most one tick late, however often it is moved or called off', () => {
    fc.assert(
      fc.property(steps, list => {
        // Eight slots, so that delays of several turns are common.
        const wheel = new TimerWheel(start, tickMs, 8)
        const fired: number[] = []
        const all = Array.from({ length: items }, (_, which) => item(() => fired.push(which)))
        const due = new Map<number, number>()
        let now = start
        for (const step of list) {
          if (step.kind === 'schedule') {
            wheel.schedule(all[step.which]!, now + step.after)
            // One whose moment has passed already is late from now on, not from then.
            due.set(step.which, now + Math.max(0, step.after))
          } else if (step.kind === 'cancel') {
            wheel.cancel(all[step.which]!)
            due.delete(step.which)
          } else {
            now += step.ms
            fired.length = 0
            wheel.advance(now)
            for (const which of fired) {
              expect(due.get(which)).toBeLessThanOrEqual(now)
              due.delete(which)
            }
            for (const at of due.values()) expect(at + tickMs).toBeGreaterThan(now)
          }
        }
        wheel.advance(now + 100_000)
        expect(fired.length).toBeGreaterThanOrEqual(due.size)
      }),
      { numRuns: 300 },
    )
  })
})

describe('an item', () => {
  test('fires at its moment and not before', () => {
    const fired: number[] = []
    const wheel = new TimerWheel(0, tickMs)
    wheel.schedule(
      item(now => fired.push(now)),
      1000,
    )
    wheel.advance(999)
    expect(fired).toEqual([])
    wheel.advance(1000)
    expect(fired).toEqual([1000])
    wheel.advance(1_000_000)
    expect(fired).toEqual([1000])
  })

  test('whose moment has passed already fires with the next tick', () => {
    const fired: number[] = []
    const wheel = new TimerWheel(1000, tickMs)
    wheel.schedule(
      item(now => fired.push(now)),
      500,
    )
    wheel.advance(1099)
    expect(fired).toEqual([])
    wheel.advance(1100)
    expect(fired).toEqual([1100])
  })

  for (const [name, delay] of [
    ['longer than one turn of the wheel', 512 * tickMs * 3 + 50],
    ['longer than what setTimeout counts', 2 ** 31 + 12_345],
    ['of 136 years, the longest session expiry', 0xffff_fffe * 1000],
  ] as const) {
    test(`waits a delay ${name}`, () => {
      let fired = 0
      const wheel = new TimerWheel(start, tickMs)
      wheel.schedule(
        item(() => {
          fired += 1
        }),
        start + delay,
      )
      for (const before of [tickMs, 512 * tickMs, delay - 1]) wheel.advance(start + before)
      expect(fired).toBe(0)
      wheel.advance(start + delay + tickMs)
      expect(fired).toBe(1)
    })
  }

  test('with a moment that never comes waits for ever, and can be moved to one that does', () => {
    let fired = 0
    const wheel = new TimerWheel(0, tickMs)
    const never = item(() => {
      fired += 1
    })
    wheel.schedule(never, Number.POSITIVE_INFINITY)
    wheel.advance(1e15)
    expect(fired).toBe(0)
    wheel.schedule(never, 1e15 + 500)
    wheel.advance(1e15 + 1000)
    expect(fired).toBe(1)
  })

  test('may schedule itself again while it fires, and fires once a round', () => {
    let fired = 0
    const wheel = new TimerWheel(0, tickMs, 8)
    const again = item(now => {
      fired += 1
      wheel.schedule(again, now)
    })
    wheel.schedule(again, 100)
    wheel.advance(100)
    expect(fired).toBe(1)
    wheel.advance(200)
    expect(fired).toBe(2)
    wheel.advance(100_000)
    expect(fired).toBe(3)
  })

  test('may call off or move any other while it fires', () => {
    const fired: string[] = []
    const wheel = new TimerWheel(0, tickMs)
    const last = item(() => fired.push('last'))
    const off = item(() => fired.push('off'))
    const moved = item(() => fired.push('moved'))
    wheel.schedule(
      item(() => {
        fired.push('first')
        wheel.cancel(off)
        wheel.schedule(moved, 1000)
      }),
      100,
    )
    for (const one of [off, moved, last]) wheel.schedule(one, 100)
    wheel.advance(100)
    expect(fired).toEqual(['first', 'last'])
    wheel.advance(1000)
    expect(fired).toEqual(['first', 'last', 'moved'])
  })

  test('can be called off twice, and before it was ever scheduled', () => {
    const wheel = new TimerWheel(0, tickMs)
    const one = item(() => expect.unreachable())
    wheel.cancel(one)
    wheel.schedule(one, 100)
    wheel.cancel(one)
    wheel.cancel(one)
    wheel.advance(1000)
  })
})

test('fires in the order in which items were scheduled for one tick', () => {
  const fired: number[] = []
  const wheel = new TimerWheel(0, tickMs)
  for (let i = 0; i < 5; i++)
    wheel.schedule(
      item(() => fired.push(i)),
      100,
    )
  wheel.advance(100)
  expect(fired).toEqual([0, 1, 2, 3, 4])
})

test('looks at each item of a slot once, however many of them are not due yet', () => {
  const wheel = new TimerWheel(0, tickMs, 8)
  let looks = 0
  let fired = 0
  const counted = (dueAt: number): WheelItem => {
    const one = item(() => {
      fired += 1
    })
    wheel.schedule(one, dueAt)
    Object.defineProperty(one, 'dueAt', {
      get() {
        looks += 1
        return dueAt
      },
    })
    return one
  }
  for (let i = 0; i < 1000; i++) counted(100 + 8 * tickMs)
  for (let i = 0; i < 1000; i++) counted(100)
  wheel.advance(100)
  expect(fired).toBe(1000)
  expect(looks).toBeLessThanOrEqual(2000)
  wheel.advance(100 + 8 * tickMs)
  expect(fired).toBe(2000)
})
