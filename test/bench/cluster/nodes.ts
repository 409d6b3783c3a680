import { execFileSync } from 'node:child_process'
import { RedisServer } from '../../support/redis.ts'
import { brokerKinds, type RunningProcess, startBroker } from '../brokers.ts'
import { canPin } from '../pin.ts'
import { cpuSeconds, memory } from '../usage.ts'

const version = brokerKinds[0]!.version
const [, program] = brokerKinds[0]!.command(0)

/** Broker processes that are one, and their Redis: all on the brokers' core, so that only processor time says what each costs. */
export class BenchCluster {
  readonly redis: RedisServer
  readonly nodes: readonly RunningProcess[]

  private constructor(redis: RedisServer, nodes: readonly RunningProcess[]) {
    this.redis = redis
    this.nodes = nodes
  }

  /** `count` nodes that know one another; 0: one broker on Redis that is no cluster. `portOf`: where a node finds Redis, if not at its own port. */
  static async start(count: number, portOf: (redisPort: number) => number | Promise<number> = port => port): Promise<BenchCluster> {
    const redis = await RedisServer.start('--appendonly', 'yes')
    if (canPin) execFileSync('taskset', ['-acp', '0', String(redis.pid)], { stdio: 'ignore' })
    const nodes: RunningProcess[] = []
    for (let i = 1; i <= Math.max(1, count); i++) {
      const sets = ['allowAnonymous=true', 'log.level=warn', `redis.url=redis://127.0.0.1:${await portOf(redis.port)}`, `brokerId=n${i}`]
      if (count > 0) sets.push('cluster.enable=true')
      const command = (port: number) => [
        process.execPath,
        program!,
        '--preset',
        'dev',
        '--port',
        String(port),
        ...sets.flatMap(set => ['--set', set]),
      ]
      nodes.push(await startBroker({ name: `node ${i}`, version, command }))
    }
    return new BenchCluster(redis, nodes)
  }

  /** User and system time of Redis and of each node, in seconds. */
  get cpu(): { readonly redis: number; readonly nodes: readonly number[] } {
    return { redis: cpuSeconds(this.redis.pid), nodes: this.nodes.map(({ pid }) => cpuSeconds(pid)) }
  }

  /** Commands that Redis has carried out, those of scripts too. */
  async commands(): Promise<number> {
    const stats = String(await this.redis.call('INFO', 'commandstats'))
    return [...stats.matchAll(/calls=(\d+)/g)].reduce((sum, [, calls]) => sum + Number(calls), 0)
  }

  /** Resident memory of a node, MiB. */
  memory(node: number): number {
    return memory(this.nodes[node]!.pid).now
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map(node => node.stop()))
    await this.redis.stop()
  }
}
