import { afterAll, beforeAll, describe, it } from 'vitest'
import type { Bus } from '../../core/cluster/bus.ts'
import { checkOptions } from '../../core/config/validation.ts'
import { silentLog } from '../../core/log.ts'
import { SystemClock } from '../../core/time/clock.ts'
import { RedisBus } from '../../plugins/redis/bus.ts'
import type { Options } from '../../plugins/redis/client-options.ts'
import { redisOptions } from '../../plugins/redis/options.ts'
import { RedisServer, startCluster } from '../support/redis.ts'
import { TestRedisStore } from '../support/redis-store.ts'
import { type BusOwner, busContract } from './suite/index.ts'

/** Buses on the servers that `where` names when a test begins. */
function owner(name: string, servers: () => readonly RedisServer[], where: () => object): BusOwner {
  const stores = new Map<Bus, TestRedisStore>()
  const clock = new SystemClock()
  return {
    name,
    async create(node) {
      const store = await TestRedisStore.open(where(), clock)
      const options = checkOptions(redisOptions, where(), 'redis') as Options
      const bus = new RedisBus(store.lanes, store.sessions, store.retained, options, clock, silentLog, node)
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

const runner = { describe, it: (title: string, run: () => Promise<void>) => it(title, run) }

describe('one server', () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await RedisServer.start()
  })
  afterAll(() => server.stop())
  busContract(
    runner,
    owner(
      'on Redis',
      () => [server],
      () => ({ url: server.url }),
    ),
  )
})

describe('a cluster', () => {
  let cluster: Awaited<ReturnType<typeof startCluster>>
  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(() => cluster.stop())
  busContract(
    runner,
    owner(
      'on a Redis Cluster',
      () => cluster.nodes,
      () => ({ nodes: cluster.nodes.map(({ port }) => `127.0.0.1:${port}`) }),
    ),
  )
})
