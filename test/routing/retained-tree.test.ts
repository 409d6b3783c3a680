import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RetainedTree } from '../../plugins/kit/retained-tree.ts'
import { aFilter, aTopic, naiveMatches } from './topics.ts'

/** All topics that a filter finds, read in pages. */
function find(tree: RetainedTree<unknown>, filter: string, limit = 1000): string[] {
  const walk = tree.iterate(filter)
  const found: string[] = []
  for (;;) {
    const { entries, done } = walk.next(limit)
    expect(entries.length).toBeLessThanOrEqual(limit)
    found.push(...entries.map(([topic]) => topic))
    if (done) return found
  }
}

function treeOf(...topics: string[]): RetainedTree<string> {
  const tree = new RetainedTree<string>()
  for (const topic of topics) tree.set(topic, topic)
  return tree
}

const steps = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('set' as const), topic: aTopic }),
    fc.record({ kind: fc.constant('set' as const), topic: aTopic }),
    fc.record({ kind: fc.constant('delete' as const), topic: aTopic }),
    fc.record({ kind: fc.constant('find' as const), filter: aFilter, limit: fc.integer({ min: 1, max: 5 }) }),
  ),
  { maxLength: 150, size: 'max' },
)

test('finds what comparing every topic would find, whatever comes and goes', () => {
  fc.assert(
    fc.property(steps, list => {
      const tree = new RetainedTree<number>()
      const model = new Map<string, number>()
      for (const [value, step] of list.entries()) {
        if (step.kind === 'set') {
          expect(tree.set(step.topic, value)).toBe(model.get(step.topic))
          model.set(step.topic, value)
        } else if (step.kind === 'delete') {
          expect(tree.delete(step.topic)).toBe(model.get(step.topic))
          model.delete(step.topic)
        } else {
          const expected = [...model.keys()].filter(topic => naiveMatches(step.filter, topic))
          expect(find(tree, step.filter, step.limit).sort()).toEqual(expected.sort())
        }
        expect(tree.size).toBe(model.size)
      }
      for (const [topic, value] of model) expect(tree.get(topic)).toBe(value)
      expect(find(tree, '#').length + find(tree, '$x/#').length).toBe(model.size)
    }),
    { numRuns: 150 },
  )
})

describe('a lookup', () => {
  test('by # takes in the level above it, and finds no topic that begins with $ [MQTT-4.7.1-1] [MQTT-4.7.2-1]', () => {
    const tree = treeOf('a', 'a/b', '$SYS/x', '/', '$SYS')
    expect(find(tree, '#').sort()).toEqual(['/', 'a', 'a/b'])
    expect(find(tree, 'a/#').sort()).toEqual(['a', 'a/b'])
    expect(find(tree, '$SYS/#').sort()).toEqual(['$SYS', '$SYS/x'])
    expect(find(tree, '+/x')).toEqual([])
    expect(find(tree, '+')).toEqual(['a'])
  })

  test('takes an empty level for a level', () => {
    const tree = treeOf('/', 'a/', 'a//b', '/a')
    expect(find(tree, '+/+').sort()).toEqual(['/', '/a', 'a/'])
    expect(find(tree, 'a/+/b')).toEqual(['a//b'])
    expect(find(tree, '/+').sort()).toEqual(['/', '/a'])
  })

  test('by a filter without wildcards finds one topic', () => {
    const tree = treeOf('a', 'a/b', 'a/b/c', '__proto__')
    expect(find(tree, 'a/b')).toEqual(['a/b'])
    expect(find(tree, 'a/c')).toEqual([])
    expect(find(tree, '__proto__')).toEqual(['__proto__'])
  })

  test('gives a page back now and then though it finds nothing', () => {
    const tree = treeOf(...Array.from({ length: 1000 }, (_, i) => `a/${i}/b`))
    const walk = tree.iterate('a/+/c')
    expect(walk.next(10)).toEqual({ entries: [], done: false })
    let pages = 1
    while (!walk.next(10).done) pages += 1
    expect(pages).toBeLessThan(100)
  })

  test('goes on when what it stands on is taken away and new topics come', () => {
    const tree = treeOf('a/1', 'a/2', 'a/3', 'b/1', 'c')
    const walk = tree.iterate('#')
    const found = walk.next(2).entries.map(([topic]) => topic)
    for (const topic of ['a/1', 'a/2', 'a/3', 'b/1']) tree.delete(topic)
    tree.set('a/4', 'a/4')
    tree.set('d', 'd')
    for (let page = walk.next(1); ; page = walk.next(1)) {
      found.push(...page.entries.map(([topic]) => topic))
      if (page.done) break
    }
    expect(found.slice(0, 2)).toEqual(['a/1', 'a/2'])
    expect(found).toContain('c')
    expect(found).not.toContain('b/1')
    expect(new Set(found).size).toBe(found.length)
  })
})

test('is as deep as a topic has levels without running out of stack', () => {
  const topic = Array.from({ length: 30_000 }, () => 'a').join('/')
  const tree = treeOf(topic)
  expect(find(tree, '#')).toEqual([topic])
  expect(find(tree, `${'+/'.repeat(29_999)}+`)).toEqual([topic])
  expect(tree.delete(topic)).toBe(topic)
})

test('keeps nothing of a topic that was taken out', () => {
  const tree = treeOf('a/b/c')
  tree.set('a/b', 'shorter')
  tree.delete('a/b/c')
  tree.delete('a/b')
  tree.delete('a/b')
  // A walk that visits one branch a page sees how many there are.
  expect(tree.iterate('#').next(1)).toEqual({ entries: [], done: true })
  expect(tree.size).toBe(0)
})
