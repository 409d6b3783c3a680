import { afterAll, afterEach, beforeAll, describe } from 'vitest'
import { checkOptions } from '../../core/config/validation.ts'
import { silentLog } from '../../core/log.ts'
import type { Clock } from '../../core/time/clock.ts'
import type { Options } from '../../plugins/redis/client-options.ts'
import { Keys } from '../../plugins/redis/keys.ts'
import { Lanes } from '../../plugins/redis/lanes.ts'
import { Link } from '../../plugins/redis/link.ts'
import { redisOptions } from '../../plugins/redis/options.ts'
import { RedisRetained } from '../../plugins/redis/retained.ts'
import { RedisSessions } from '../../plugins/redis/sessions.ts'
import { RedisServer, startCluster } from '../support/redis.ts'
import { retainedContract } from './retained.ts'
import { sessionsContract } from './sessions.ts'

const links: Link[] = []
afterEach(() => {
  for (const link of links.splice(0)) link.stop()
})

/** An empty store on a server, connected and loaded. */
async function open(clock: Clock, servers: readonly RedisServer[], where: object) {
  await Promise.all(servers.map(server => server.call('FLUSHALL')))
  const options = checkOptions(redisOptions, where, 'redis') as Options
  const link = new Link(options, silentLog)
  links.push(link)
  const lanes = new Lanes(link, new Keys(options), clock, options)
  const sessions = new RedisSessions(lanes, clock, silentLog, 1)
  const retained = new RedisRetained(sessions.writes, clock, silentLog)
  link.use({ ready: () => lanes.resume(), interrupted: error => lanes.interrupted(error) })
  await link.start()
  await retained.load()
  for await (const _none of sessions.sessions());
  return { sessions, retained }
}

describe('one server', () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await RedisServer.start()
  })
  afterAll(() => server.stop())
  sessionsContract('in Redis', async clock => (await open(clock, [server], { url: server.url })).sessions)
  retainedContract('in Redis', async clock => (await open(clock, [server], { url: server.url })).retained)
})

describe('a cluster', () => {
  let cluster: Awaited<ReturnType<typeof startCluster>>
  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(() => cluster.stop())
  const nodes = (): { nodes: string[] } => ({ nodes: cluster.nodes.map(({ port }) => `127.0.0.1:${port}`) })
  sessionsContract('in a Redis Cluster', async clock => (await open(clock, cluster.nodes, nodes())).sessions)
  retainedContract('in a Redis Cluster', async clock => (await open(clock, cluster.nodes, nodes())).retained)
})
