import { expect, test } from 'vitest'
import { judge } from './compare.ts'

const rounds = (scatter: readonly number[], factor: number, sameFactor = 1) => ({
  old: scatter.map(by => 10 * by),
  again: scatter.toReversed().map(by => 10 * by * sameFactor),
  new: scatter.map(by => 10 * by * factor),
})
const calm = [1, 1.001, 0.999, 1.002, 0.998]
const noisy = [1, 1.3, 0.7, 1.2, 0.8]

test.each([
  ['the same', rounds(calm, 1), false],
  ['4 % more', rounds(calm, 1.04), false],
  ['6 % more', rounds(calm, 1.06), true],
  ['20 % less', rounds(calm, 0.8), false],
  ['6 % more, where one and the same differs by as much', rounds(calm, 1.06, 1.06), false],
  ['10 % more, where rounds scatter by 30 %', rounds(noisy, 1.1), false],
  ['twice as much, where rounds scatter by 30 %', rounds(noisy, 2), true],
])('what a comparison of two checkouts says: %s', (_what, found, isWorse) => {
  expect(judge(found).isWorse).toBe(isWorse)
})

test('a comparison gives medians, and the ratio of new to old', () => {
  expect(judge({ old: [10, 10, 50], again: [10, 10, 10], new: [12, 12, 90] })).toMatchObject({
    old: 10,
    new: 12,
    ratio: 1.2,
    same: 1,
    isWorse: true,
  })
})
