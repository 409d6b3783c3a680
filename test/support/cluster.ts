import { duplexPair } from 'node:stream'
import { onTestFinished } from 'vitest'
import { StreamTransport } from '../../core/connection/stream-transport.ts'
import type { RunningBroker } from '../../core/running-broker.ts'
import { type Config, createBroker } from '../../presets/index.ts'
import type { ClusterNode } from '../../plugins/cluster/node.ts'
import { type ConnectOptions, TestClient } from './client.ts'
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
  static async start(name: string, redis: object, config: Config = {}): Promise<TestNode> {
    const running = await createBroker({
      preset: 'dev',
      log: { level: process.env.TEST_LOG ?? 'silent' },
      socket: false,
      brokerId: name,
      redis,
      cluster: {},
      ...config,
    } as Config).start()
    onTestFinished(() => running.stop())
    return new TestNode(name, running)
  }

  get broker(): RunningBroker['broker'] {
    return this.running.broker
  }

  get cluster(): ClusterNode {
    return this.broker.forwarder as ClusterNode
  }

  /** Waits until this node knows that another one wants messages of a topic. */
  async wants(topic: string, other: string, wants = true): Promise<void> {
    const route = () => this.cluster.peers.router.route(topic)
    await eventually(() => route().targets.some(({ subscriber }) => subscriber.clientId === other) === wants)
  }

  /** A client that has its CONNACK. */
  async connect(options: ConnectOptions = {}): Promise<TestClient> {
    const version = options.version ?? 5
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
    const client = new TestClient(ours, version)
    await client.connect({ ...options, version })
    return client
  }
}

/** A real Redis and brokers `n1`, `n2`… on it. All stop when the test has finished. */
export async function startNodes(count: number, config: Config = {}): Promise<{ redis: RedisServer; nodes: TestNode[] }> {
  const redis = await RedisServer.start()
  onTestFinished(() => redis.stop())
  const nodes: TestNode[] = []
  for (let i = 1; i <= count; i++) nodes.push(await TestNode.start(`n${i}`, { url: redis.url }, config))
  return { redis, nodes }
}
