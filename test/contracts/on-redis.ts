import { afterAll, beforeAll, describe } from 'vitest'
import { RedisServer, startCluster } from '../support/redis.ts'

/** The Redis that a suite runs on: its servers, and the options that name it. Both are known when a test begins. */
export interface TestedRedis {
  /** Completes "kept in …", "a bus on …". */
  readonly name: string
  servers(): readonly RedisServer[]
  where(): object
  readonly isCluster: boolean
}

/** Defines a suite on one server, and once more on a cluster of three masters. */
export function onEachRedis(define: (redis: TestedRedis) => void): void {
  describe('one server', () => {
    let server: RedisServer
    beforeAll(async () => {
      server = await RedisServer.start()
    })
    afterAll(() => server.stop())
    define({ name: 'Redis', servers: () => [server], where: () => ({ url: server.url }), isCluster: false })
  })

  describe('a cluster', () => {
    let cluster: Awaited<ReturnType<typeof startCluster>>
    beforeAll(async () => {
      cluster = await startCluster()
    })
    afterAll(() => cluster.stop())
    const where = () => ({ nodes: cluster.nodes.map(({ port }) => `127.0.0.1:${port}`) })
    define({ name: 'a Redis Cluster', servers: () => cluster.nodes, where, isCluster: true })
  })
}
