import type { RetainedStore } from '../../core/routing/retained.ts'
import type { SessionStore } from '../../core/sessions/session-store.ts'
import type { Clock } from '../../core/time/clock.ts'
import { TestRedisStore } from '../support/redis-store.ts'
import { onEachRedis, type TestedRedis } from './on-redis.ts'
import { retainedContract } from './retained.ts'
import { sessionsContract } from './sessions.ts'

/** How a suite makes owners of one service on the servers of a Redis. */
function owner<S extends SessionStore | RetainedStore>(service: (store: TestRedisStore) => S, { servers, where }: TestedRedis) {
  const stores = new Map<S, TestRedisStore>()
  const known = (store: TestRedisStore): S => {
    stores.set(service(store), store)
    return service(store)
  }
  return {
    async create(clock: Clock): Promise<S> {
      await Promise.all(servers().map(server => server.call('FLUSHALL')))
      return known(await TestRedisStore.open(where(), clock))
    },
    async reopen(store: S, clock: Clock): Promise<S> {
      stores.get(store)!.crash()
      return known(await TestRedisStore.open(where(), clock))
    },
    dispose: (store: S): void => stores.get(store)!.crash(),
  }
}

onEachRedis(redis => {
  const sessions = owner(store => store.sessions as SessionStore, redis)
  const retained = owner(store => store.retained as RetainedStore, redis)
  sessionsContract(`in ${redis.name}`, sessions.create, {
    ...sessions,
    // All that is kept goes, and the connections that could have seen it going.
    async empty() {
      for (const server of redis.servers()) {
        await server.call('FLUSHALL')
        await server.call('CLIENT', 'KILL', 'TYPE', 'normal')
      }
    },
  })
  retainedContract(`in ${redis.name}`, retained.create, retained)
})
