import { expect, test } from 'vitest'
import { LineThrottle } from '../../plugins/kit/line-throttle.ts'
import { ManualClock } from '../../presets/testing/manual-clock.ts'

test('the first event of a kind has a line, those within the time have none, and the next line counts them', () => {
  const clock = new ManualClock()
  const throttle = new LineThrottle(clock, { everyMs: 1000 })
  expect(throttle.pass('a')).toBe(1)
  for (let i = 0; i < 5; i++) expect(throttle.pass('a')).toBe(0)
  expect(throttle.pass('b')).toBe(1)
  clock.advance(999)
  expect(throttle.pass('a')).toBe(0)
  clock.advance(1)
  expect(throttle.pass('a')).toBe(7)
  expect(throttle.pass('a')).toBe(0)
  clock.advance(1000)
  expect([throttle.pass('a'), throttle.pass('b')]).toEqual([2, 1])
})

test('the time begins with its first line, so that a kind never has more than its lines in it', () => {
  const clock = new ManualClock()
  const throttle = new LineThrottle(clock, { everyMs: 1000, linesMax: 2 })
  const passed: number[] = []
  for (let ms = 0; ms < 3000; ms += 100) {
    if (throttle.pass('a') > 0) passed.push(ms)
    clock.advance(100)
  }
  expect(passed).toEqual([0, 100, 1000, 1100, 2000, 2100])
})

test('what is over is forgotten: the next event has a line that counts itself alone', () => {
  const throttle = new LineThrottle(new ManualClock(), { everyMs: 1000 })
  throttle.pass('a')
  throttle.pass('a')
  throttle.forget('a')
  expect([throttle.pass('a'), throttle.pass('a')]).toEqual([1, 0])
})

test('says at the end of the time what had no line, once, and begins anew; a flush says it at once', () => {
  const clock = new ManualClock()
  const said: string[] = []
  const throttle = new LineThrottle(clock, { everyMs: 1000, linesMax: 2, more: (count, kind) => said.push(`${kind} ${count}`) })
  expect([1, 2, 3, 4].map(() => throttle.pass('a'))).toEqual([1, 1, 0, 0])
  throttle.pass('b')
  clock.advance(999)
  expect(said).toEqual([])
  clock.advance(1)
  expect(said).toEqual(['a 2'])
  clock.advance(5000)
  expect(said).toEqual(['a 2'])
  for (let i = 0; i < 5; i++) throttle.pass('a')
  throttle.flush()
  expect(said).toEqual(['a 2', 'a 3'])
  clock.advance(5000)
  expect(said).toHaveLength(2)
  expect(throttle.pass('a')).toBe(1)
})

test('kinds beyond their number are one kind together, told or counted, so that names that clients make up fill neither log nor memory', () => {
  const clock = new ManualClock()
  const said: string[] = []
  const more = (count: number, kind: string) => void said.push(`${kind} ${count}`)
  const told = new LineThrottle(clock, { everyMs: 1000, kindsMax: 3, others: 'the rest', more })
  const counted = new LineThrottle(clock, { everyMs: 1000, kindsMax: 3 })
  const lines = { told: 0, counted: 0 }
  for (let i = 0; i < 1000; i++) {
    if (told.pass(`made up ${i}`) > 0) lines.told += 1
    if (counted.pass(`made up ${i}`) > 0) lines.counted += 1
  }
  expect(lines).toEqual({ told: 4, counted: 4 })
  clock.advance(1000)
  expect(said).toEqual(['the rest 996'])
  // Kinds whose time is over make room for others.
  expect([counted.pass('x'), counted.pass('y'), counted.pass('z'), counted.pass('w')]).toEqual([1, 1, 1, 1])
  expect(counted.pass('v')).toBe(0)
})
