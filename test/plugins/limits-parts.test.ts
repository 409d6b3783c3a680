import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AddressTable, idleMax } from '../../plugins/limits/address-table.ts'
import { rateOf } from '../../plugins/limits/rate.ts'
import { TokenBucket } from '../../plugins/limits/token-bucket.ts'
import { ManualClock } from '../../presets/testing/manual-clock.ts'

/** Time as a broker has it: a clock, and a field that lags behind by up to a quarter of a second. */
function timeOf(clock: ManualClock) {
  const time = { clock, now: clock.now() }
  clock.every(250, () => {
    time.now = clock.now()
  })
  return time
}

describe('a token bucket', () => {
  test('never lets more through than a burst and the rate, whenever it is asked, and never less once it was asked in vain', () => {
    const step = fc.record({ wait: fc.nat(3000), asks: fc.nat(30) })
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100 }),
        fc.integer({ min: 1, max: 50 }),
        fc.array(step, { maxLength: 50 }),
        (perSecond, burst, steps) => {
          const clock = new ManualClock()
          const bucket = new TokenBucket(timeOf(clock), perSecond, burst)
          // A bucket that is filled exactly, at each step.
          let level = burst
          for (const { wait, asks } of steps) {
            clock.advance(wait)
            level = Math.min(burst, level + (wait * perSecond) / 1000)
            let taken = 0
            for (let i = 0; i < asks; i++) if (bucket.tryTake(1)) taken += 1
            // The coarse time may hold a quarter of a second back that it had not seen while it was full.
            const most = Math.min(asks, Math.floor(level + perSecond / 4 + 1e-6))
            expect(taken).toBeLessThanOrEqual(most)
            expect(taken).toBeGreaterThanOrEqual(Math.min(asks, Math.floor(level - 1e-6)))
            level = Math.max(0, level - taken)
          }
        },
      ),
    )
  })

  test('is full after a jump of the clock, and no fuller; one that goes back does nothing', () => {
    const clock = new ManualClock()
    const time = { clock, now: clock.now() }
    const bucket = new TokenBucket(time, 10, 5)
    for (let i = 0; i < 5; i++) expect(bucket.tryTake(1)).toBe(true)
    expect(bucket.tryTake(1)).toBe(false)
    clock.sleep(365 * 86_400_000)
    time.now = clock.now()
    for (let i = 0; i < 5; i++) expect(bucket.tryTake(1)).toBe(true)
    expect(bucket.tryTake(1)).toBe(false)
    time.now -= 1_000_000
    expect(bucket.tryTake(1)).toBe(false)
    clock.advance(100)
    expect(bucket.tryTake(1)).toBe(true)
    expect(bucket.tryTake(1)).toBe(false)
  })

  test('lets one that is larger than the burst through, and then waits until its debt is paid', () => {
    const clock = new ManualClock()
    const bucket = new TokenBucket(timeOf(clock), 1000, 500)
    expect(bucket.take(2500)).toBe(false)
    const wait = bucket.wait(50)
    expect(wait).toBe(2050)
    clock.advance(wait - 51)
    expect(bucket.open).toBe(false)
    clock.advance(51)
    expect(bucket.open).toBe(true)
  })

  test('has two seconds’ worth at once where nobody says how much', () => {
    expect(rateOf(10, null)).toEqual({ perSecond: 10, burst: 20 })
    expect(rateOf(0.1, null)).toEqual({ perSecond: 0.1, burst: 1 })
    expect(rateOf(10, 3)).toEqual({ perSecond: 10, burst: 3 })
    expect(rateOf(null, null)).toBeNull()
  })
})

describe('the table of addresses', () => {
  test('forgets an address without connections once its bucket is full, and is bounded before that', () => {
    const clock = new ManualClock()
    const table = new AddressTable(timeOf(clock), { perSecond: 1, burst: 1 })
    const visit = (key: string) => {
      const entry = table.find(key)
      entry.bucket!.take(1)
      table.enter(entry)
      return entry
    }
    for (let i = 0; i < idleMax + 5000; i++) table.leave(visit(`a${i}`))
    expect(table.size).toBe(idleMax)
    clock.advance(2000)
    table.leave(visit('last'))
    expect(table.size).toBe(1)
    const busy = visit('busy')
    clock.advance(60_000)
    table.leave(visit('another'))
    expect(table.find('busy')).toBe(busy)
  })

  test('keeps nothing of who left where there is no rate', () => {
    const table = new AddressTable(timeOf(new ManualClock()), null)
    const entry = table.find('a')
    table.enter(entry)
    table.enter(entry)
    table.leave(entry)
    expect(table.find('a')).toBe(entry)
    table.leave(entry)
    expect(table.size).toBe(0)
  })
})
