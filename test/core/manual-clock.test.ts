import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SystemClock } from '../../plugins/kit/system-clock.ts'
import { ManualClock } from '../../presets/testing/manual-clock.ts'

test('stands still until it is moved', () => {
  const clock = new ManualClock(1000)
  clock.after(0, () => expect.unreachable())
  expect(clock.now()).toBe(1000)
})

test('fires each timer at its own moment, in the order of the moments, then of asking', () => {
  const clock = new ManualClock(0)
  const fired: string[] = []
  const note = (name: string) => () => fired.push(`${name} at ${clock.now()}`)
  clock.after(30, note('late'))
  clock.after(10, note('first'))
  clock.every(10, note('each'))
  clock.after(10, note('last'))
  clock.advance(30)
  expect(fired).toEqual(['first at 10', 'each at 10', 'last at 10', 'each at 20', 'late at 30', 'each at 30'])
  expect(clock.now()).toBe(30)
})

test('fires what a timer asks for while time moves, if it is due by then', () => {
  const clock = new ManualClock(0)
  const fired: number[] = []
  clock.after(10, () => {
    clock.after(10, () => fired.push(clock.now()))
    clock.after(100, () => fired.push(clock.now()))
  })
  clock.advance(50)
  expect(fired).toEqual([20])
  clock.advance(60)
  expect(fired).toEqual([20, 110])
})

test('sleeps over what comes due: each timer fires once, at the end', () => {
  const clock = new ManualClock(0)
  const fired: string[] = []
  clock.every(10, () => fired.push(`each at ${clock.now()}`))
  clock.after(5, () => fired.push(`once at ${clock.now()}`))
  clock.sleep(1000)
  expect(fired).toEqual(['once at 1000', 'each at 1000'])
  clock.advance(10)
  expect(fired.at(-1)).toBe('each at 1010')
})

test('does not go back where a timer moves it on', () => {
  const clock = new ManualClock(0)
  clock.after(10, () => clock.advance(1000))
  clock.advance(20)
  expect(clock.now()).toBe(1010)
})

test('fires nothing that was called off, by a timer of the same moment either', () => {
  const clock = new ManualClock(0)
  const once = clock.after(10, () => expect.unreachable())
  const again = clock.every(10, () => expect.unreachable())
  clock.after(5, () => {
    once.cancel()
    again.cancel()
    again.cancel()
  })
  clock.advance(100)
})

test('waits for ever for what never comes', () => {
  const clock = new ManualClock(0)
  clock.after(Number.POSITIVE_INFINITY, () => expect.unreachable())
  clock.advance(Number.MAX_SAFE_INTEGER)
})

test('fires what naming every moment in order would fire', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(50), { maxLength: 20 }), fc.array(fc.nat(30), { maxLength: 10 }), (delays, moves) => {
      const clock = new ManualClock(0)
      const fired: [number, number][] = []
      for (const [i, delay] of delays.entries()) clock.after(delay, () => fired.push([clock.now(), i]))
      for (const ms of moves) clock.advance(ms)
      const end = moves.reduce((sum, ms) => sum + ms, 0)
      const expected = delays.map((delay, i) => [delay, i] as const).filter(([at]) => moves.length > 0 && at <= end)
      expect(fired).toEqual(expected.sort((a, b) => a[0] - b[0] || a[1] - b[1]))
    }),
  )
})

test('of the system, a delay beyond what setTimeout counts does not fire at once', async () => {
  const clock = new SystemClock()
  const before = clock.now()
  const timers = [2 ** 31, 2 ** 32 * 1000, Number.POSITIVE_INFINITY].map(ms => clock.after(ms, () => expect.unreachable()))
  await new Promise<void>(resolve => clock.after(5, resolve))
  for (const timer of timers) timer.cancel()
  expect(clock.now()).toBeGreaterThan(before)
})
