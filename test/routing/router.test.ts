import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Router } from '../../core/routing/router.ts'
import type { Subscriber, Subscription } from '../../core/routing/subscription.ts'
import type { Route } from '../../core/routing/target.ts'
import { SystemClock } from '../../plugins/kit/system-clock.ts'
import { aFilter, aTopic, naiveMatches } from './topics.ts'

const clock = new SystemClock()

class Reader implements Subscriber {
  readonly clientId: string
  readonly online = true

  constructor(clientId: string) {
    this.clientId = clientId
  }
}

function subscription(filter: string, options: Partial<Subscription> = {}): Subscription {
  return { filter, qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0, identifier: 0, ...options }
}

/** A route as plain values that do not depend on any order. */
function plain({ targets, groups }: Route<Reader>) {
  return {
    targets: targets
      .map(target => ({
        who: target.subscriber.clientId,
        qos: target.qos,
        retainAsPublished: target.retainAsPublished,
        noLocal: target.noLocal,
        identifiers: target.identifiers === null ? null : [...target.identifiers].sort(),
        filters: target.subscriptions.map(({ filter }) => filter).sort(),
      }))
      .sort(by(target => target.who)),
    groups: groups
      .map(group => ({ key: group.key, members: group.members.map(({ subscriber, subscription: { qos } }) => [subscriber.clientId, qos]) }))
      .sort(by(group => group.key)),
  }
}

function by<T>(key: (value: T) => string): (a: T, b: T) => number {
  return (a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0)
}

/** What a router has to say, found by comparing every subscription with the topic. */
class Model {
  readonly #held = new Map<Reader, Map<string, Subscription>>()
  // Members in the order in which they joined, by whole filter.
  readonly #groups = new Map<string, Map<Reader, Subscription>>()

  subscribe(reader: Reader, one: Subscription): boolean {
    const existed = this.#of(reader).has(one.filter)
    this.#of(reader).set(one.filter, one)
    if (one.filter.startsWith('$share/')) {
      const group = this.#groups.get(one.filter) ?? new Map()
      this.#groups.set(one.filter, group.set(reader, one))
    }
    return existed
  }

  unsubscribe(reader: Reader, filter: string): Subscription | undefined {
    const one = this.#of(reader).get(filter)
    this.#of(reader).delete(filter)
    this.#groups.get(filter)?.delete(reader)
    if (this.#groups.get(filter)?.size === 0) this.#groups.delete(filter)
    return one
  }

  get size(): number {
    return [...this.#held.values()].reduce((sum, { size }) => sum + size, 0)
  }

  route(topic: string) {
    const targets = [...this.#held].flatMap(([reader, filters]) => {
      const matching = [...filters.values()].filter(({ filter }) => !filter.startsWith('$share/') && naiveMatches(filter, topic))
      if (matching.length === 0) return []
      const identifiers = matching.flatMap(({ identifier }) => (identifier > 0 ? [identifier] : [])).sort()
      return {
        who: reader.clientId,
        qos: Math.max(...matching.map(({ qos }) => qos)),
        retainAsPublished: matching.some(one => one.retainAsPublished),
        noLocal: matching.some(one => one.noLocal),
        identifiers: identifiers.length > 0 ? identifiers : null,
        filters: matching.map(({ filter }) => filter).sort(),
      }
    })
    const groups = [...this.#groups].flatMap(([key, members]) =>
      naiveMatches(key.split('/').slice(2).join('/'), topic)
        ? { key, members: [...members].map(([reader, { qos }]) => [reader.clientId, qos]) }
        : [],
    )
    return { targets: targets.sort(by(target => target.who)), groups: groups.sort(by(group => group.key)) }
  }

  #of(reader: Reader): Map<string, Subscription> {
    const held = this.#held.get(reader) ?? new Map<string, Subscription>()
    this.#held.set(reader, held)
    return held
  }
}

const readers = ['r0', 'r1', 'r2'].map(clientId => new Reader(clientId))
const aReader = fc.constantFrom(...readers)
const anyFilter = fc.oneof(
  { weight: 3, arbitrary: aFilter },
  { weight: 1, arbitrary: fc.tuple(fc.constantFrom('g', 'h'), aFilter).map(([group, filter]) => `$share/${group}/${filter}`) },
)
const aChange = fc.record({
  kind: fc.constantFrom('subscribe' as const, 'subscribe' as const, 'unsubscribe' as const),
  reader: aReader,
  filter: anyFilter,
  options: fc.record({
    qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
    identifier: fc.nat(3),
    noLocal: fc.boolean(),
    retainAsPublished: fc.boolean(),
  }),
})
const aPublish = fc.record({ kind: fc.constant('publish' as const), topic: aTopic })
// Long rows of changes between two publishes, so that a topic misses more of them than the router remembers.
const aRow = fc.array(aChange, { minLength: 60, maxLength: 70 })
const steps = fc
  .array(
    fc.oneof(
      { weight: 12, arbitrary: aChange.map(change => [change]) },
      { weight: 20, arbitrary: aPublish.map(publish => [publish]) },
      { weight: 1, arbitrary: aRow },
    ),
    { maxLength: 120, size: 'max' },
  )
  .map(parts => parts.flat())

for (const [cache, bytes] of [
  ['with room for every topic', undefined],
  ['with room for three topics', 650],
  ['with room for none', 0],
] as const) {
  test(`routes as comparing every subscription would, whatever comes and goes, by a cache ${cache}`, () => {
    fc.assert(
      fc.property(steps, list => {
        const router = new Router<Reader>(clock, bytes)
        const model = new Model()
        for (const step of list) {
          if (step.kind === 'publish') {
            expect(plain(router.route(step.topic))).toEqual(model.route(step.topic))
          } else if (step.kind === 'subscribe') {
            const one = subscription(step.filter, step.options)
            expect(router.subscribe(step.reader, one)).toBe(model.subscribe(step.reader, one))
          } else {
            expect(router.unsubscribe(step.reader, step.filter)).toBe(model.unsubscribe(step.reader, step.filter))
          }
          expect(router.size).toBe(model.size)
        }
      }),
      { numRuns: 150 },
    )
  })
}

describe('a cached route', () => {
  const [first, second] = readers as [Reader, Reader, Reader]
  const who = (router: Router<Reader>, topic: string) => router.route(topic).targets.map(({ subscriber }) => subscriber.clientId)

  test('stays the same object while nothing that matters to its topic changes', () => {
    const router = new Router<Reader>(clock)
    router.subscribe(first, subscription('a/+'))
    const route = router.route('a/b')
    router.subscribe(second, subscription('other/#'))
    router.subscribe(second, subscription('a/c'))
    router.unsubscribe(second, 'other/#')
    expect(router.route('a/b')).toBe(route)
  })

  for (const missed of [1, 63, 64, 65, 128, 1000]) {
    test(`hears of a filter that came ${missed} wildcard changes ago`, () => {
      const router = new Router<Reader>(clock)
      expect(who(router, 'a/b')).toEqual([])
      router.subscribe(first, subscription('a/+'))
      for (let change = 1; change < missed; change++) router.subscribe(second, subscription(`other/${change}/+`))
      expect(who(router, 'a/b')).toEqual(['r0'])
    })
  }

  test('never hands out a list that changes afterwards: who goes through it may subscribe and unsubscribe meanwhile', () => {
    const router = new Router<Reader>(clock)
    router.subscribe(first, subscription('a'))
    router.subscribe(second, subscription('a'))
    const { targets } = router.route('a')
    router.unsubscribe(first, 'a')
    expect(targets.map(({ subscriber }) => subscriber.clientId)).toEqual(['r0', 'r1'])
    expect(who(router, 'a')).toEqual(['r1'])
  })
})

describe('overlapping subscriptions', () => {
  const [reader] = readers as [Reader]

  test('make one target with the highest QoS and every identifier [MQTT-3.3.4-2] [MQTT-3.3.4-4]', () => {
    const router = new Router<Reader>(clock)
    router.subscribe(reader, subscription('a/b', { qos: 0, identifier: 7 }))
    router.subscribe(reader, subscription('a/+', { qos: 2, identifier: 8, retainAsPublished: true }))
    router.subscribe(reader, subscription('#', { qos: 1, identifier: 7 }))
    router.subscribe(reader, subscription('other/#', { qos: 2, identifier: 9 }))
    const { targets } = router.route('a/b')
    expect(targets).toHaveLength(1)
    expect(targets[0]).toMatchObject({ qos: 2, retainAsPublished: true })
    expect([...targets[0]!.identifiers!].sort()).toEqual([7, 7, 8])
  })

  test('are replaced by a later one with the same filter [MQTT-3.8.4-3]', () => {
    const router = new Router<Reader>(clock)
    router.subscribe(reader, subscription('a/+', { qos: 2, identifier: 1 }))
    expect(router.subscribe(reader, subscription('a/+', { qos: 0 }))).toBe(true)
    expect(router.route('a/b').targets).toMatchObject([{ qos: 0, identifiers: null }])
    expect(router.size).toBe(1)
  })

  test('do not mix with those of a shared group [MQTT-4.8.2-1]', () => {
    const router = new Router<Reader>(clock)
    router.subscribe(reader, subscription('a', { qos: 1 }))
    router.subscribe(reader, subscription('$share/g/a', { qos: 2 }))
    router.subscribe(reader, subscription('$share/h/a', { qos: 0 }))
    const { targets, groups } = router.route('a')
    expect(targets).toMatchObject([{ qos: 1 }])
    expect(groups.map(({ key }) => key)).toEqual(['$share/g/a', '$share/h/a'])
    router.unsubscribe(reader, 'a')
    expect(router.route('a').targets).toEqual([])
    expect(router.route('a').groups).toHaveLength(2)
  })
})

test('without No Local the rest of a target is made once, however often its subscriber publishes', () => {
  const router = new Router<Reader>(clock)
  for (let i = 0; i < 3; i++) router.subscribe(readers[0]!, subscription(['a', '+', '#'][i]!, { noLocal: i > 0, identifier: i + 1 }))
  const target = router.route('a').targets[0]!
  expect(target.withoutNoLocal()!.identifiers).toEqual([1])
  expect(target.withoutNoLocal()).toBe(target.withoutNoLocal())
  router.unsubscribe(readers[0]!, 'a')
  const left = router.route('a').targets[0]!
  expect([left.withoutNoLocal(), left.withoutNoLocal()]).toEqual([null, null])
})

test('what the routes keep is counted, whatever comes and goes, and can be forgotten', () => {
  const router = new Router<Reader>(clock, 4000)
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 50; i++) router.route(`t/${i}`)
    // Exact filters take out the route of their topic, in the younger half and in the older.
    for (let i = 0; i < 50; i += 5) router.subscribe(readers[0]!, subscription(`t/${i}`))
    for (let i = 0; i < 50; i += 7) router.route(`t/${i}`)
    expect(router.bytes).toBeGreaterThan(0)
    expect(router.bytes).toBeLessThanOrEqual(8000)
  }
  router.clear()
  expect(router.bytes).toBe(0)
  expect(router.route('t/0').targets).toHaveLength(1)
  expect(router.bytes).toBeGreaterThan(0)
})

test('matching grows as the matches do, not with their square: however many filters of one session overlap', () => {
  const looks = (count: number): number => {
    const router = new Router<Reader>(clock)
    let looked = 0
    for (let i = 0; i < count; i++) {
      // A list that is made anew for each match would be looked through each time.
      const counted = Object.defineProperty(subscription(''), 'identifier', {
        get: () => {
          looked += 1
          return i + 1
        },
        enumerable: true,
      })
      const filter = Array.from({ length: 14 }, (_, bit) => ((i >> bit) & 1 ? '+' : 'x')).join('/')
      router.subscribe(readers[0]!, Object.assign(Object.create(counted) as Subscription, { filter, qos: 0 }))
    }
    expect(router.route(Array(14).fill('x').join('/')).targets[0]!.identifiers).toHaveLength(count)
    expect(router.steps).toBeLessThan(count * 16)
    return looked / count
  }
  const few = looks(1024)
  expect(few).toBeLessThan(10)
  expect(looks(16_384)).toBeLessThanOrEqual(few * 1.1)
})

describe('a shared group', () => {
  const [first, second] = readers as [Reader, Reader, Reader]

  test('stays the same object as long as it has a member, so that a plugin may remember things by it', () => {
    const router = new Router<Reader>(clock)
    router.subscribe(first, subscription('$share/g/a/+'))
    const group = router.groupOf('$share/g/a/+')!
    router.subscribe(second, subscription('$share/g/a/+'))
    router.unsubscribe(first, '$share/g/a/+')
    expect(router.groupOf('$share/g/a/+')).toBe(group)
    expect(router.route('a/b').groups).toEqual([group])
    expect(group.members.map(({ subscriber }) => subscriber.clientId)).toEqual(['r1'])
    router.unsubscribe(second, '$share/g/a/+')
    expect(router.groupOf('$share/g/a/+')).toBeUndefined()
    expect(router.route('a/b').groups).toEqual([])
  })

  test('keeps its members in the order in which they joined; asking again changes the subscription, not the place', () => {
    const router = new Router<Reader>(clock)
    router.subscribe(first, subscription('$share/g/a', { qos: 0 }))
    router.subscribe(second, subscription('$share/g/a', { qos: 1 }))
    router.subscribe(first, subscription('$share/g/a', { qos: 2 }))
    const { members, name, filter, size } = router.groupOf('$share/g/a')!
    expect({ name, filter, size }).toEqual({ name: 'g', filter: 'a', size: 2 })
    expect(members.map(({ subscriber, subscription: { qos } }) => [subscriber.clientId, qos])).toEqual([
      ['r0', 2],
      ['r1', 1],
    ])
  })

  test('is none where the filter is no shared one', () => {
    expect(new Router<Reader>(clock).groupOf('a/b')).toBeUndefined()
  })
})

test('takes away nothing that is not there', () => {
  const [first, second] = readers as [Reader, Reader, Reader]
  const router = new Router<Reader>(clock)
  router.subscribe(first, subscription('a/+/b'))
  router.subscribe(first, subscription('$share/g/x'))
  for (const filter of ['a', 'a/+', 'a/+/b/#', '#', '$share/h/x', '$share/g/y', 'x']) {
    expect(router.unsubscribe(first, filter)).toBeUndefined()
    expect(router.unsubscribe(second, filter)).toBeUndefined()
  }
  expect(router.unsubscribe(second, 'a/+/b')).toBeUndefined()
  expect(router.size).toBe(2)
})
