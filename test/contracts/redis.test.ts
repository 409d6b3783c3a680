import type { SessionStore } from '../../core/sessions/session-store.ts'
import type { Clock } from '../../core/time/clock.ts'
import type { RetainedStore } from '../../plugins/kit/services/retained.ts'
import type { State } from '../../plugins/kit/services/state.ts'
import { TestRedisStore } from '../support/redis-store.ts'
import { onEachRedis, type TestedRedis } from './on-redis.ts'
import { retainedContract } from './retained.ts'
import { sessionsContract } from './sessions.ts'
import { stateContract } from './state.ts'

/** How a suite makes owners of one service on the servers of a Redis. */
function owner<S extends SessionStore | RetainedStore | State>(service: (store: TestRedisStore) => S, { servers, where }: TestedRedis) {
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
    join: async (_store: S, clock: Clock): Promise<S> => known(await TestRedisStore.open(where(), clock)),
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
  const state = owner(store => store.state as State, redis)
  // All that is kept goes, and the connections that could have seen it going.
  const empty = async (): Promise<void> => {
    for (const server of redis.servers()) {
      await server.call('FLUSHALL')
      await server.call('CLIENT', 'KILL', 'TYPE', 'normal')
    }
  }
  sessionsContract(`in ${redis.name}`, sessions.create, { ...sessions, empty })
  retainedContract(`in ${redis.name}`, retained.create, retained)
  // Starting three masters again takes long, and shows no more.
  const away = async () => {
    const [server] = redis.servers()
    await server!.call('SAVE')
    await server!.kill()
    return { back: () => server!.start() }
  }
  stateContract(`in ${redis.name}`, state.create, { ...state, empty, ...(redis.name === 'Redis' ? { away } : {}) })
})
