import { describe, expect, test } from 'vitest'
import { silentLog } from '../../core/log.ts'
import { Router } from '../../core/routing/router.ts'
import type { Subscriber, Subscription } from '../../core/routing/subscription.ts'
import { AdmissionCache } from '../../plugins/auth-http/admission-cache.ts'
import { BoundedCache, cachesOf } from '../../plugins/kit/bounded-cache.ts'
import { ByTopic } from '../../plugins/kit/by-topic.ts'
import { SystemClock } from '../../plugins/kit/system-clock.ts'
import { collectGarbage } from '../../plugins/limits/memory-use.ts'
import { BridgeRoutes } from '../../plugins/message-bridge/bridge-routes.ts'
import { readRules } from '../../plugins/message-bridge/rules.ts'
import { Judge } from '../../plugins/topic-security/judge.ts'
import { Rules } from '../../plugins/topic-security/rules.ts'
import { ManualClock } from '../../presets/testing/manual-clock.ts'
import { startBroker } from '../support/broker.ts'

const clock = new SystemClock()

// Goal: whatever a broker keeps to spare time counts what it keeps, within a factor of two of what the heap says, and has a bound. Method: each
// cache is filled with what a client can make up, and weighed.

interface Filled {
  readonly bytes: number
  clear(): void
}

function weight(): number {
  collectGarbage()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** Fills one for what is made by the first use, and waits until it is gone: its own bytes would else go between the two weighings. */
async function warmUp(fill: () => object): Promise<void> {
  const first = new WeakRef(fill())
  while (first.deref() !== undefined) {
    await new Promise(resolve => setImmediate(resolve))
    collectGarbage()
  }
}

const reader: Subscriber = { clientId: 'reader', online: true }
const subscription = (filter: string, identifier: number): Subscription => ({
  filter,
  qos: 0,
  noLocal: false,
  retainAsPublished: false,
  retainHandling: 0,
  identifier,
})

/** So many filters of one session that match every topic below `deep`. */
function subscribeAll(router: Router<Subscriber>, filters: number): void {
  for (let i = 0; i < filters; i++) {
    const levels = Array.from({ length: 10 }, (_, bit) => ((i >> bit) & 1 ? '+' : 'x'))
    router.subscribe(reader, subscription(`a/${levels.join('/')}/+`, i + 1))
  }
}

const deep = `a/${Array(10).fill('x').join('/')}`
/** A text that nothing else shares. */
const text = (i: number, length = 40): string => `${i}/`.padEnd(length, 'abcdefgh/')

const caches: readonly (readonly [name: string, fill: () => Filled])[] = [
  [
    'anything by text',
    () => {
      const cache = new BoundedCache<number>(1e9, () => 0)
      for (let i = 0; i < 50_000; i++) cache.set(text(i), i)
      return cache
    },
  ],
  [
    'rules by topic: of rewrite, schema and rates',
    () => {
      const rules = new ByTopic([{ filter: '#' }, { filter: 'x/#' }, { filter: '+/abcdefgh/#' }])
      for (let i = 0; i < 40_000; i++) rules.of(text(i))
      return rules
    },
  ],
  [
    'where messages of a topic go by the bridge',
    () => {
      const target = { name: 'kafka', legalName: (name: string) => name.replaceAll('/', '.') }
      const rules = readRules([{ filter: '#', to: 'mqtt.{topic}' } as never], 'none')
      const routes = new BridgeRoutes(rules, new Map([['kafka', target as never]]), silentLog)
      for (let i = 0; i < 15_000; i++) routes.of(text(i))
      return routes
    },
  ],
  [
    'verdicts of topicSecurity, of one client and of many',
    () => {
      const judge = new Judge(new Rules({ rules: [{ allow: 'all', topics: ['#'] }], at: 'rules' }))
      const publisher = (clientId: string) => ({ clientId, username: null, rights: null }) as never
      const one = publisher('one')
      for (let i = 0; i < 30_000; i++) judge.mayPublish(one, text(i))
      const many = Array.from({ length: 2000 }, (_, i) => publisher(`${i}`))
      for (const [i, client] of many.entries())
        for (let topic = 0; topic < 3; topic++) judge.mayPublish(client, text(i * 10 + topic + 1_000_000))
      return Object.assign(judge, { many })
    },
  ],
  [
    'admissions of an authentication service',
    () => {
      const cache = new AdmissionCache(new ManualClock(0), 1000, 1e9)
      for (let i = 0; i < 5000; i++)
        cache.keep(text(i), { authorizedPub: Array.from({ length: 20 }, (_, n) => text(i * 100 + n)), authorizedSub: [] })
      return cache
    },
  ],
]

describe('a cache counts what it keeps', () => {
  test.each(caches)('%s', async (_name, fill) => {
    await warmUp(fill)
    const before = weight()
    const cache = fill()
    const kept = weight() - before
    const said = cache.bytes
    expect(kept).toBeGreaterThan(2_000_000)
    expect(said / kept).toBeGreaterThan(0.5)
    expect(said / kept).toBeLessThan(2)
    cache.clear()
    expect(cache.bytes).toBe(0)
  })

  test('rules by topic have a bound in bytes, whatever topics are made up', () => {
    const rules = new ByTopic([{ filter: '#' }])
    let most = 0
    for (let i = 0; i < 1000; i++) {
      rules.of(text(i, 60_000))
      most = Math.max(most, rules.bytes)
    }
    expect(most).toBeLessThanOrEqual(16_777_216)
    expect(most).toBeGreaterThan(8_388_608)
  })
})

test.each(['before they were made', 'after they were made'] as const)(
  'routes of 6,000 topics keep no more than their bound, though 1,000 filters of one session that came %s match each',
  when => {
    const router = new Router<Subscriber>(clock, 16_777_216)
    if (when === 'after they were made') for (let i = 0; i < 6000; i++) router.route(`${deep}/${i}`)
    subscribeAll(router, 1000)
    router.route(`${deep}/first`)
    const before = weight()
    for (let i = 0; i < 6000; i++) router.route(`${deep}/${i}`)
    // Two generations of 16 MiB; without a bound 6,000 routes of 24 KB are 144 MB.
    expect(weight() - before).toBeLessThan(60_000_000)
    expect(router.size).toBe(1000)
  },
)

test('a bounded cache keeps what is asked for, and never more than its bound', () => {
  const cache = new BoundedCache<number>(10_000, () => 100)
  for (let i = 0; i < 1000; i++) {
    cache.set(`${i}`, i)
    expect(cache.get('0')).toBe(0)
    expect(cache.bytes).toBeLessThanOrEqual(10_000)
  }
  expect(cache.get('1')).toBeUndefined()
  expect(cache.get('999')).toBe(999)
  cache.set('x'.repeat(10_000), 1)
  expect(cache.get('x'.repeat(10_000))).toBeUndefined()
})

test('the broker itself, and every plugin that keeps something by topic or by question, adds it', async () => {
  const { broker } = await startBroker({
    topicSecurity: {},
    rewrite: { rules: [{ filter: 'a', to: 'b' }] },
    schema: { rules: [{ filter: 'a', schema: {} }] },
    authHttp: { url: 'http://127.0.0.1:1/', cache: '1s' },
    messageBridge: { brokers: ['127.0.0.1:1'], topics: ['x'], stopTimeout: 0 },
    limits: { topicRates: [{ filter: 'a', messagesPerSecond: 1 }] },
  })
  expect([...cachesOf(broker)].map(({ name }) => name).sort()).toEqual([
    'authHttp',
    'limits.topicRates',
    'messageBridge',
    'rewrite',
    'routes',
    'schema',
    'topicNames',
    'topicSecurity',
  ])
})
