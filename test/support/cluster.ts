import { duplexPair } from 'node:stream'
import { onTestFinished } from 'vitest'
import { type ClusterNode, clusterNodes } from '../../plugins/cluster/node.ts'
import { StreamTransport } from '../../plugins/kit/transports/stream-transport.ts'
import { type Clock, type Config, createBroker } from '../../presets/index.ts'
import type { RunningBroker } from '../../presets/shell/running-broker.ts'
import type { WholeBroker } from '../../presets/shell/whole-broker.ts'
import { type ConnectOptions, TestClient } from './client.ts'
import { coreOf } from './core.ts'
import { eventually } from './eventually.ts'
import { RedisServer } from './redis.ts'

/** One broker of several on one Redis, in this process, without a port. */
export class TestNode {
  readonly name: string
  readonly running: RunningBroker

  private constructor(name: string, running: RunningBroker) {
    this.name = name
    this.running = running
  }

  /** Stops when the test has finished. */
  static async start(name: string, redis: object, config: Config = {}, clock?: Clock): Promise<TestNode> {
    const all = {
      preset: 'dev',
      log: { level: process.env.TEST_LOG ?? 'silent' },
      socket: false,
      brokerId: name,
      redis,
      cluster: { heartbeat: 100, expiry: 1000 },
      ...config,
    } as Config
    const running = await createBroker(all, clock === undefined ? {} : { clock }).start()
    onTestFinished(() => running.stop())
    return new TestNode(name, running)
  }

  get broker(): WholeBroker {
    return coreOf(this.running)
  }

  get cluster(): ClusterNode {
    return clusterNodes.get(this.broker)!
  }

  /** Waits until this node knows that another one wants messages of a topic. */
  async wants(topic: string, other: TestNode, wants = true): Promise<void> {
    const route = () => this.cluster.peers.router.route(topic)
    await eventually(() => route().targets.some(({ subscriber }) => subscriber.clientId === other.name) === wants)
  }

  /** A client that has its CONNACK. */
  async connect(options: ConnectOptions = {}): Promise<TestClient> {
    const version = options.version ?? 5
    const client = this.open(version)
    await client.connect({ ...options, version })
    return client
  }

  /** A connection on which nothing has been said yet. */
  open(version: 4 | 5 | 3): TestClient {
    const [ours, theirs] = duplexPair()
    for (const [closing, other] of [
      [ours, theirs],
      [theirs, ours],
    ] as const) {
      closing.on('close', () => {
        if (!other.destroyed) other.push(null)
      })
    }
    const transport = new StreamTransport(theirs, { protocol: 'memory', listener: 'test', remoteAddress: 'memory' })
    const events = this.running.accept(transport)
    if (events === null) theirs.on('error', () => {})
    else transport.listen(events)
    return new TestClient(ours, version)
  }
}

/** Brokers `n1`, `n2`… on a Redis of their own. All stop when the test has finished. */
export async function startNodes(count: 1, config?: Config): Promise<[TestNode]>
export async function startNodes(count: 2, config?: Config): Promise<[TestNode, TestNode]>
export async function startNodes(count: 3, config?: Config): Promise<[TestNode, TestNode, TestNode]>
export async function startNodes(count: number, config: Config = {}): Promise<TestNode[]> {
  return (await startOnRedis(count, config)).nodes
}

/** The same, where the test has to do with Redis itself. */
export async function startOnRedis(count: number, config: Config = {}): Promise<{ redis: RedisServer; nodes: TestNode[] }> {
  const redis = await RedisServer.start()
  onTestFinished(() => redis.stop())
  const nodes: TestNode[] = []
  for (let i = 1; i <= count; i++) nodes.push(await TestNode.start(`n${i}`, { url: redis.url }, config))
  for (const node of nodes) await eventually(() => node.broker.services.get('bus').nodes().length === count)
  return { redis, nodes }
}
