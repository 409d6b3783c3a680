import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { covers, hasWildcard, isTopicFilter, isTopicName, matches, parseShare, topicLevels } from '../../core/routing/topic.ts'
import { overlaps } from '../../plugins/kit/topics.ts'
import { aFilter, aTopic, naiveMatches, smallTopics } from './topics.ts'

describe('a topic name', () => {
  test.each(['a', '/', '//', 'a/', '/a', 'a//b', 'a b', ' ', '$SYS/a', '$other', 'é', '😀/😀', 'finance', 'A'])(
    'may be "%s" [MQTT-4.7.3-1]',
    topic => {
      expect(isTopicName(topic)).toBe(true)
    },
  )

  test('has at least one character [MQTT-4.7.3-1] [MQTT3-4.7.3-1]', () => {
    expect(isTopicName('')).toBe(false)
  })

  test.each(['+', '#', 'a/+', 'a/#', 'a+', 'a#b'])(
    'holds no wildcard, as "%s" does [MQTT-3.3.2-2] [MQTT3-3.3.2-2] [MQTT-4.7.0-1]',
    topic => {
      expect(isTopicName(topic)).toBe(false)
    },
  )

  test('holds no U+0000 [MQTT-4.7.3-2] [MQTT3-4.7.3-2]', () => {
    expect(isTopicName('a\0b')).toBe(false)
  })

  test('holds no half of a surrogate pair, which UTF-8 cannot say [MQTT-1.5.4-1]', () => {
    expect(isTopicName('a/\ud83d')).toBe(false)
    expect(isTopicName('\ude00/a')).toBe(false)
  })

  test('is at most 65,535 bytes long, not characters [MQTT-4.7.3-3] [MQTT3-4.7.3-3]', () => {
    expect(isTopicName('a'.repeat(65_535))).toBe(true)
    expect(isTopicName('a'.repeat(65_536))).toBe(false)
    expect(isTopicName('é'.repeat(32_767))).toBe(true)
    expect(isTopicName('é'.repeat(32_768))).toBe(false)
    expect(isTopicName('€'.repeat(21_845))).toBe(true)
    expect(isTopicName('€'.repeat(21_846))).toBe(false)
  })
})

describe('a topic filter', () => {
  test.each([
    '+',
    '#',
    '/#',
    '+/+',
    '/+',
    '+/',
    'a/+/b',
    'a/+/#',
    '+/tennis/#',
    'a/#',
    'a//b',
    'a/',
    ' ',
    '$SYS/#',
    '$share',
    '+/#',
    'sport/+',
  ])('may be "%s"', filter => {
    expect(isTopicFilter(filter)).toBe(true)
  })

  test.each(['#/a', 'a#', 'a/b#', 'a/#/b', '#a', '##', 'a/##'])(
    'has # alone in its last level only, unlike "%s" [MQTT-4.7.1-1] [MQTT3-4.7.1-2]',
    filter => {
      expect(isTopicFilter(filter)).toBe(false)
    },
  )

  test.each(['a+', '+a', 'a/b+', 'a/+b/c', '++', '+#', '#+'])(
    'has + alone in its level, unlike "%s" [MQTT-4.7.1-2] [MQTT3-4.7.1-3]',
    filter => {
      expect(isTopicFilter(filter)).toBe(false)
    },
  )

  test('has at least one character, no U+0000, no half surrogate pair and at most 65,535 bytes [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-4.7.3-3]', () => {
    expect(isTopicFilter('')).toBe(false)
    expect(isTopicFilter('a/\0')).toBe(false)
    expect(isTopicFilter('a/\ud83d/+')).toBe(false)
    expect(isTopicFilter(`${'a'.repeat(65_533)}/#`)).toBe(true)
    expect(isTopicFilter(`${'a'.repeat(65_534)}/#`)).toBe(false)
  })

  test.each(['$share/g/a', '$share/g/#', '$share/g/+/b', '$share/g//', '$share/a b/c', '$share/g/$SYS/#', '$share/$/a'])(
    'may be shared: "%s"',
    filter => {
      expect(isTopicFilter(filter)).toBe(true)
    },
  )

  test.each(['$share/', '$share/g', '$share/g/', '$share//a', '$share/g+/a', '$share/#/a', '$share/+/a', '$share/g/a#', '$share/g\0/a'])(
    'of a shared subscription is not "%s" [MQTT-4.8.2-1] [MQTT-4.8.2-2]',
    filter => {
      expect(isTopicFilter(filter)).toBe(false)
    },
  )

  test('of a shared subscription has a group and a filter', () => {
    expect(parseShare('$share/g/a/+')).toEqual({ group: 'g', filter: 'a/+' })
    expect(parseShare('$share/g//a')).toEqual({ group: 'g', filter: '/a' })
    expect(parseShare('a/b')).toBeNull()
    expect(parseShare('$shared/g/a')).toBeNull()
  })
})

test('counts levels as one more than slashes', () => {
  expect(['a', 'a/b', '/', '//', 'a/'].map(topicLevels)).toEqual([1, 2, 2, 3, 2])
})

test('knows a filter with wildcards', () => {
  expect(['a', 'a/+', '#', '$SYS/#', '$SYS/a'].map(hasWildcard)).toEqual([false, true, true, true, false])
})

describe('a filter matches', () => {
  test.each([
    // The Java mqttx's table.
    ['/a/b/+', '/a/b/abc'],
    ['a/b/#', 'a/b'],
    ['a/b/#', 'a/b/c/def'],
    ['a/+/b/#', 'a/x/b'],
    ['a/+/b/#', 'a/x/b/c/d'],
    ['/+/a/b/+/c', '/x/a/b/y/c'],
    // The standard's examples [MQTT-4.7.1-1] [MQTT-4.7.1-2].
    ['sport/tennis/player1/#', 'sport/tennis/player1'],
    ['sport/tennis/player1/#', 'sport/tennis/player1/score/wimbledon'],
    ['sport/+', 'sport/'],
    ['+/+', '/finance'],
    ['/+', '/finance'],
    ['#', '/'],
    // Levels may be empty, and blanks are letters.
    ['+', 'a'],
    ['+/', 'a/'],
    ['+/+/+', '//'],
    ['a//+', 'a//b'],
    ['a/ /+', 'a/ /b'],
    ['a/+/b', 'a//b'],
    ['+/#', 'a'],
    ['/#', '/'],
    ['/', '/'],
    ['a/', 'a/'],
    // Topics with $ are matched by filters that say so.
    ['$SYS/#', '$SYS'],
    ['$SYS/+/x', '$SYS/broker/x'],
    ['$other/a', '$other/a'],
    ['a/+', 'a/$b'],
    ['a/#', 'a/$b'],
  ])('%s: %s [MQTT-4.7.3-4]', (filter, topic) => {
    expect(matches(filter, topic)).toBe(true)
  })

  test.each([
    ['/a/b/+', '/a/b/c/d'],
    ['/a/b/+', '/a/b'],
    ['a/b/#', 'a/bc'],
    ['a/b/#', 'a'],
    ['sport/+', 'sport'],
    ['sport/tennis/+', 'sport/tennis/player1/ranking'],
    ['+', '/finance'],
    ['+', 'a/'],
    ['a', 'A'],
    ['a', 'a/'],
    ['a/', 'a'],
    ['a', '/a'],
    ['a/+/c', 'a/b/d'],
    ['ab', 'a'],
    ['a', 'ab'],
  ])('%s not: %s [MQTT-4.7.3-4]', (filter, topic) => {
    expect(matches(filter, topic)).toBe(false)
  })

  test.each(['#', '+', '+/#', '+/broker', '+/+'])(
    'no topic that begins with $ where it begins with a wildcard: %s [MQTT-4.7.2-1] [MQTT3-4.7.2-1]',
    filter => {
      expect(matches(filter, '$SYS/broker')).toBe(false)
      expect(matches(filter, '$SYS')).toBe(false)
    },
  )

  test('as a comparison level by level says, whatever filter and topic', () => {
    fc.assert(
      fc.property(aFilter, aTopic, (filter, topic) => matches(filter, topic) === naiveMatches(filter, topic)),
      { numRuns: 5000 },
    )
  })
})

describe('a filter covers', () => {
  test.each([
    ['#', '#'],
    ['#', '+'],
    ['#', 'a/#'],
    ['+', 'a'],
    ['a/#', 'a'],
    ['a/#', 'a/+/b'],
    ['a/#', 'a/#'],
    ['a/+', 'a/+'],
    ['+/+', '/'],
    ['+/#', '#'],
    ['$SYS/#', '$SYS/broker/+'],
  ])('%s: %s', (wide, narrow) => {
    expect(covers(wide, narrow)).toBe(true)
  })

  test.each([
    ['+', '#'],
    ['a/+', 'a/#'],
    ['a/+/#', 'a/#'],
    ['a/b', 'a/+'],
    ['#', '$SYS/#'],
    ['#', '$SYS'],
    ['+/#', '$SYS/#'],
    ['+/broker', '$SYS/broker'],
    ['a', 'b'],
    ['a', 'a/b'],
    ['a/b', 'a'],
  ])('%s not: %s', (wide, narrow) => {
    expect(covers(wide, narrow)).toBe(false)
  })

  test('exactly those that match nothing which it does not match', () => {
    // Three levels at most in a filter, and topics of up to five with a letter that no filter holds: enough to tell any two apart.
    fc.assert(
      fc.property(aFilter, aFilter, (wide, narrow) => {
        const all = smallTopics.every(topic => !naiveMatches(narrow, topic) || naiveMatches(wide, topic))
        expect(covers(wide, narrow)).toBe(all)
      }),
      { numRuns: 3000 },
    )
  })
})

describe('two filters overlap', () => {
  test.each([
    ['a', 'a'],
    ['a/#', 'a'],
    ['a/#', '+'],
    ['#', '#'],
    ['#', '+/b'],
    ['a/+/c', '+/b/+'],
    ['a/+', 'a/#'],
    ['$SYS/#', '$SYS/+/x'],
    ['a/b/#', 'a/#'],
  ])('"%s" and "%s"', (a, b) => {
    expect([overlaps(a, b), overlaps(b, a)]).toEqual([true, true])
  })

  test.each([
    ['a', 'b'],
    ['a', 'a/b'],
    ['a/+', 'a'],
    ['a/b/#', 'a'],
    ['#', '$SYS/a'],
    ['+/a', '$SYS/a'],
    ['a/+/c', 'a/b'],
    ['+', '/#'],
  ])('not "%s" and "%s"', (a, b) => {
    expect([overlaps(a, b), overlaps(b, a)]).toEqual([false, false])
  })

  test('where there is a topic that both match, and only there', () => {
    fc.assert(
      fc.property(aFilter, aFilter, (a, b) => {
        const both = smallTopics.some(topic => naiveMatches(a, topic) && naiveMatches(b, topic))
        expect(overlaps(a, b)).toBe(both)
      }),
      { numRuns: 3000 },
    )
  })
})
