import { expect, test } from 'vitest'
import { formatBytes, formatDuration, parseBytes, parseDuration } from '../../plugins/kit/options/quantity.ts'
import { suggest } from '../../plugins/kit/options/suggestion.ts'

test.each([
  ['60s', 60_000],
  ['500ms', 500],
  ['1m', 60_000],
  ['2h', 7_200_000],
  ['1d', 86_400_000],
  ['1.5s', 1500],
  ['250', 250],
  [250, 250],
  [0, 0],
])('reads %s as a duration', (text, expected) => {
  expect(parseDuration(text)).toBe(expected)
})

test.each(['', 's', '5 parsecs', '-1s', -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '1e9d', null, undefined, {}, true])(
  'does not take %s for a duration',
  text => {
    expect(parseDuration(text)).toBeUndefined()
  },
)

test.each([
  ['2MiB', 2_097_152],
  ['64kib', 65_536],
  ['10MB', 10_000_000],
  ['1 GiB', 1_073_741_824],
  [512, 512],
])('reads %s as a number of bytes', (text, expected) => {
  expect(parseBytes(text)).toBe(expected)
})

test('writes quantities as a person would', () => {
  expect([60_000, 1500, 0, 86_400_000].map(formatDuration)).toEqual(['1m', '1500ms', '0', '1d'])
  expect([2_097_152, 1000, 0].map(formatBytes)).toEqual(['2MiB', '1000', '0'])
})

test.each([
  ['prot', 'port'],
  ['share-topic', 'shareTopic'],
  ['PORT', 'port'],
  ['sys_topic', 'sysTopic'],
  ['sharTopic', 'shareTopic'],
])('takes %s for %s', (name, meant) => {
  expect(suggest(name, ['host', 'port', 'shareTopic', 'sysTopic'])).toBe(meant)
})

test('suggests nothing where nothing is near', () => {
  expect(suggest('kafka', ['host', 'port'])).toBeUndefined()
})
