import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { Moment } from '../../core/time/clock.ts'
import { passedBetween, releasedAt } from '../../plugins/kit/moment.ts'
import { SystemClock } from '../../plugins/kit/system-clock.ts'
import { WallWatch } from '../../plugins/kit/wall-watch.ts'
import { ManualClock } from '../../presets/testing/manual-clock.ts'

const at = (wall: number, uptime: number, boot = 'one'): Moment => ({ wall: releasedAt + wall, uptime, boot })

test.each<[title: string, before: Moment, after: Moment, passed: number | null]>([
  ['within one start of the machine its uptime tells', at(1000, 500), at(1600, 1100), 600],
  ['also where the wall clock was set back', at(1e9, 500), at(10, 1100), 600],
  ['also where the wall clock says nonsense', at(-1e12, 500), at(-1e12, 1100), 600],
  ['over a new start the wall clock tells', at(1000, 500), at(5000, 20, 'two'), 4000],
  ['a container that has an uptime of its own was started anew', at(1000, 500), at(5000, 20), 4000],
  ['without a name of the start the wall clock tells', at(1000, 500, ''), at(5000, 700, ''), 4000],
  ['nobody knows where the later wall clock is before this version', at(1000, 500), at(-1, 20, 'two'), null],
  ['nobody knows where the earlier wall clock is before this version', at(-1, 500), at(1000, 20, 'two'), null],
  ['nobody knows where the wall clock has gone back', at(1000, 500), at(999, 20, 'two'), null],
])('what has passed between two moments: %s', (_title, before, after, passed) => {
  expect(passedBetween(before, after)).toBe(passed)
})

test('this version was released on the day that the changelog says', () => {
  const text = readFileSync(new URL('../../CHANGELOG.md', import.meta.url), 'utf8')
  const [, date] = /^## \d+\.\d+\.\d+ – (\d{4}-\d\d-\d\d)$/m.exec(text)!
  expect(new Date(releasedAt).toISOString().slice(0, 10)).toBe(date)
})

test('a moment of the real clock tells the time of day, and goes on', () => {
  const clock = new SystemClock()
  const before = clock.moment()
  expect(passedBetween(before, clock.moment())).toBeGreaterThanOrEqual(0)
})

test('a wall clock that is set is counted and said, one that is slewed and a machine that slept are not', () => {
  const clock = new ManualClock()
  const lines: string[] = []
  const said = (_fields: unknown, text: string): void => void lines.push(text)
  const watch = new WallWatch({ clock, log: { warn: said } as never })
  const tick = (): void => {
    clock.advance(250)
    watch.look()
  }
  tick()
  clock.step(0.2)
  tick()
  clock.sleep(3600_000)
  watch.look()
  expect([watch.steps, lines]).toEqual([0, []])
  clock.step(7_200_000)
  tick()
  clock.step(-5000)
  tick()
  expect(watch.steps).toBe(2)
  // The second comes within ten seconds of the first.
  expect(lines).toEqual(["the machine's clock was set 7200.0 s ahead; expiries and delays go on by the time that really passes"])
  clock.advance(10_000)
  watch.look()
  clock.step(-1500)
  tick()
  expect(lines[1]).toMatch(/set 1\.5 s back/)
})

test('a process shows the time of the one whose zero it was told, whatever the wall clock said when each began', () => {
  const anHour = 3_600_000
  // As that of a supervisor that began when the wall clock was an hour behind.
  const supervisor = new SystemClock(new SystemClock().zero - anHour)
  const worker = new SystemClock(supervisor.zero)
  expect(Math.abs(worker.now() - supervisor.now())).toBeLessThan(anHour / 2)
  expect(Math.round((new SystemClock().now() - worker.now()) / anHour)).toBe(1)
})
