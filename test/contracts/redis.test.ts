import { afterAll, beforeAll, describe } from 'vitest'
import type { RetainedStore } from '../../core/routing/retained.ts'
import type { SessionStore } from '../../core/sessions/session-store.ts'
import type { Clock } from '../../core/time/clock.ts'
import { RedisServer, startCluster } from '../support/redis.ts'
import { TestRedisStore } from '../support/redis-store.ts'
import { retainedContract } from './retained.ts'
import { sessionsContract } from './sessions.ts'

/** How a suite makes owners of one service on the servers that `where` names when the test begins. */
function owner<S extends SessionStore | RetainedStore>(
  service: (store: TestRedisStore) => S,
  servers: () => readonly RedisServer[],
  where: () => object,
) {
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

function contracts(name: string, servers: () => readonly RedisServer[], where: () => object): void {
  const sessions = owner(store => store.sessions as SessionStore, servers, where)
  const retained = owner(store => store.retained as RetainedStore, servers, where)
  sessionsContract(name, sessions.create, sessions)
  retainedContract(name, retained.create, retained)
}

describe('one server', () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await RedisServer.start()
  })
  afterAll(() => server.stop())
  contracts(
    'in Redis',
    () => [server],
    () => ({ url: server.url }),
  )
})

describe('a cluster', () => {
  let cluster: Awaited<ReturnType<typeof startCluster>>
  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(() => cluster.stop())
  contracts(
    'in a Redis Cluster',
    () => cluster.nodes,
    () => ({ nodes: cluster.nodes.map(({ port }) => `127.0.0.1:${port}`) }),
  )
})
