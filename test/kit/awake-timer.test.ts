import { expect, test } from 'vitest'
import { afterAwake } from '../../plugins/kit/awake-timer.ts'
import { ManualClock } from '../../presets/testing/manual-clock.ts'

function begin(ms: number) {
  const clock = new ManualClock()
  const began = clock.now()
  const calls: number[] = []
  return { clock, calls, timer: afterAwake(clock, ms, () => calls.push(clock.now() - began)) }
}

test('it calls once after its time', () => {
  const { clock, calls } = begin(1000)
  clock.advance(999)
  expect(calls).toEqual([])
  clock.advance(1)
  expect(calls).toEqual([1000])
  clock.advance(5000)
  expect(calls).toEqual([1000])
})

test.each([0, 249, 250, 600, 999])('what the process stood still does not count, %i ms after the beginning', at => {
  const { clock, calls } = begin(1000)
  clock.advance(at)
  clock.sleep(60_000)
  // What has come meanwhile is read now.
  expect(calls).toEqual([])
  clock.advance(1000)
  expect(calls).toHaveLength(1)
})

test('it is called off in each of its parts', () => {
  for (const at of [0, 300, 999]) {
    const { clock, calls, timer } = begin(1000)
    clock.advance(at)
    timer.cancel()
    clock.advance(5000)
    expect(calls).toEqual([])
  }
})
