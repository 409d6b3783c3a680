import { describe, it } from 'vitest'
import { silentLog } from '../../core/log.ts'
import type { Bus } from '../../plugins/kit/services/bus.ts'
import { SystemClock } from '../../plugins/kit/system-clock.ts'
import { RedisBus } from '../../plugins/redis/bus.ts'
import { TestRedisStore } from '../support/redis-store.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { onEachRedis, type TestedRedis } from './on-redis.ts'
import { type BusOwner, busContract } from './suite/index.ts'

/** Buses on the servers of a Redis. */
function owner({ name, servers, where, isCluster }: TestedRedis): BusOwner {
  const stores = new Map<Bus, TestRedisStore>()
  // Of a cluster's servers each tells where the others are, so nothing can stand between.
  const cables = new Map<Bus, TcpProxy>()
  const wayIn = async (): Promise<[object, TcpProxy | null]> => {
    if (isCluster) return [where(), null]
    const cable = await TcpProxy.start(servers()[0]!.port)
    return [{ url: `redis://127.0.0.1:${cable.port}` }, cable]
  }
  const clock = new SystemClock()
  return {
    name: `on ${name}`,
    async create(node) {
      const [way, cable] = await wayIn()
      const store = await TestRedisStore.open(way, clock)
      const bus = new RedisBus(store.writers, store.sessions, store.retained, store.state, store.options, clock, silentLog, node)
      stores.set(bus, store)
      if (cable !== null) cables.set(bus, cable)
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
    ...(isCluster
      ? {}
      : {
          cut(bus) {
            const cable = cables.get(bus)!
            cable.cut('refused')
            return () => cable.heal()
          },
          async forget(bus) {
            await servers()[0]!.call('XTRIM', stores.get(bus)!.writers.keys.log, 'MAXLEN', '0')
          },
        }),
    async dispose() {
      await Promise.all([...cables.values()].map(cable => cable.stop()))
      cables.clear()
      await Promise.all(servers().map(server => server.call('FLUSHALL')))
    },
  }
}

onEachRedis(redis => busContract({ describe, it }, owner(redis)))
