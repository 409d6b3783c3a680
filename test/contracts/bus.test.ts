import { describe, it } from 'vitest'
import { silentLog } from '../../core/log.ts'
import { SystemClock } from '../../core/time/clock.ts'
import type { Bus } from '../../plugins/kit/services/bus.ts'
import { RedisBus } from '../../plugins/redis/bus.ts'
import { TestRedisStore } from '../support/redis-store.ts'
import { onEachRedis, type TestedRedis } from './on-redis.ts'
import { type BusOwner, busContract } from './suite/index.ts'

/** Buses on the servers of a Redis. */
function owner({ name, servers, where }: TestedRedis): BusOwner {
  const stores = new Map<Bus, TestRedisStore>()
  const clock = new SystemClock()
  return {
    name: `on ${name}`,
    async create(node) {
      const store = await TestRedisStore.open(where(), clock)
      const bus = new RedisBus(store.writers, store.sessions, store.retained, store.state, store.options, clock, silentLog, node)
      stores.set(bus, store)
      return bus
    },
    async stop(bus) {
      await (bus as RedisBus).stop()
      stores.get(bus)!.crash()
    },
    async crash(bus) {
      stores.get(bus)!.crash()
      await (bus as RedisBus).stop()
    },
    async dispose() {
      await Promise.all(servers().map(server => server.call('FLUSHALL')))
    },
  }
}

onEachRedis(redis => busContract({ describe, it }, owner(redis)))
