import type { Bench } from 'tinybench'
import { Router } from '../../../core/routing/router.ts'
import type { Subscriber, Subscription } from '../../../core/routing/subscription.ts'
import { SystemClock } from '../../../plugins/kit/system-clock.ts'

const clock = new SystemClock()

// Finds the receivers of a topic among 100, 10,000 and 1,000,000 filters, four fifths of them exact: flat if a route is found by
// its topic and not by looking through filters. A topic that was published to before is found in the cache; one that was not
// asks the map and the trie.

export const title = 'a route of one topic of four levels'

export function add(bench: Bench): void {
  for (const size of [100, 10_000, 1_000_000]) {
    const router = filled(size)
    let next = 0
    bench.add(`published to before, ${size} filters`, () => void router.route(`site/${next++ % 50}/device/state`))
    let fresh = 0
    bench.add(`never published to, ${size} filters`, () => void router.route(`site/${fresh % size}/device/new-${fresh++}`))
    let churn = 0
    const subscriber = { clientId: 'churn', online: true }
    bench.add(`a wildcard filter comes and goes, ${size} filters`, () => {
      const filter = `churn/${churn++ % 1000}/+/x`
      router.subscribe(subscriber, subscription(filter))
      router.unsubscribe(subscriber, filter)
    })
  }
}

function filled(size: number): Router<Subscriber> {
  const router = new Router<Subscriber>(clock)
  for (let i = 0; i < size; i++) {
    const filter = i % 10 === 0 ? `site/${i}/+/state` : i % 10 === 1 ? `site/${i}/#` : `site/${i}/device/state`
    router.subscribe({ clientId: String(i), online: true }, subscription(filter))
  }
  return router
}

function subscription(filter: string): Subscription {
  return { filter, qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0, identifier: 0 }
}
