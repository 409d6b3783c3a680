import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hasCompiler, RedisServer, startSentinel } from '../support/redis.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { disagreements } from './agreement.ts'
import { lifeSeconds, wrongClock } from './clocks.ts'
import { FaultBroker } from './fault-broker.ts'
import { connectAll, type FaultClient, FaultPublisher, FaultReader } from './fault-client.ts'
import { type FaultOutcome, finished } from './faults.ts'
import { History } from './history.ts'

const nodeCount = 3
const clusterSettings = ['cluster.enable=true', 'cluster.heartbeat=200', 'cluster.expiry=1000', 'sysTopic.interval=500']
const window = 50
const perRound = 300

export const clusterFaults = ['kill', 'clocks', 'freeze', 'cut', 'connections', 'failover'] as const
/**
 * What goes wrong: a broker is killed and started again; the same, with wall clocks of brokers that are wrong and are set under way, and where there is a C compiler
 * Redis' own is set too; one is frozen for a while; one is cut off from Redis for a while, by turns so that it is told and so that it
 * is not; all connections to Redis are cut; Redis itself is killed, and its replica takes over.
 */
export type ClusterFault = (typeof clusterFaults)[number]

export interface ClusterOptions {
  readonly rounds: number
  readonly random: () => number
  readonly what: ClusterFault
  /** Milliseconds for which a broker is frozen, or cut off. */
  readonly awayMs?: number
}

/** The Redis of a run, and what stands between it and each broker. */
interface Engine {
  /** What a broker is told of it. */
  options(node: number): string[]
  readonly redis: RedisServer
  readonly proxies: readonly TcpProxy[]
  /** The master dies; resolves when another one is. What has died comes back as a replica. */
  failOver(): Promise<void>
  stop(): Promise<void>
}

async function plain(isCut: boolean, hasClock: boolean): Promise<Engine> {
  const redis = await (hasClock && hasCompiler ? RedisServer.startWithClock() : RedisServer.start())
  const proxies = isCut ? await Promise.all(Array.from({ length: nodeCount }, () => TcpProxy.start(redis.port))) : []
  return {
    redis,
    proxies,
    options: node => [`redis.url=redis://127.0.0.1:${proxies[node]?.port ?? redis.port}`, 'redis.commandTimeout=1000'],
    failOver: () => Promise.reject(new Error('there is no replica')),
    async stop() {
      await Promise.all(proxies.map(proxy => proxy.stop()))
      await redis.stop()
    },
  }
}

async function watchedOver(): Promise<Engine> {
  const first = await RedisServer.start()
  const second = await RedisServer.start('--replicaof', '127.0.0.1', String(first.port))
  const sentinel = await startSentinel(first.port, 2000)
  const servers = [first, second]
  const masterPort = async () => Number(((await sentinel.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'mymaster')) as string[])[1])
  const replicas = async (): Promise<number> => {
    const info = String(await sentinel.call('SENTINEL', 'MASTER', 'mymaster'))
    return Number(/num-slaves,(\d+)/.exec(info)?.[1] ?? 0)
  }
  const synced = async (port: number): Promise<boolean> => {
    const info = String(await servers.find(server => server.port === port)!.call('INFO', 'replication'))
    return /connected_slaves:1/.test(info) && /state=online/.test(info)
  }
  const until = async (isTrue: () => Promise<boolean>): Promise<void> => {
    while (!(await isTrue().catch(() => false))) await new Promise(resolve => setTimeout(resolve, 20))
  }
  await until(async () => (await replicas()) === 1 && (await synced(first.port)))
  return {
    redis: first,
    proxies: [],
    options: () => [
      `redis.sentinels=["127.0.0.1:${sentinel.port}"]`,
      'redis.waitReplicas=1',
      'redis.waitTimeout=500',
      'redis.commandTimeout=1000',
    ],
    async failOver() {
      // On a busy machine Sentinel may have taken a living master for dead. What its replica has not yet read again is nowhere else then, and two that fail
      // at a time are more than is promised.
      await until(async () => synced(await masterPort()))
      const old = await masterPort()
      const dying = servers.find(({ port }) => port === old)!
      await dying.kill()
      await until(async () => (await masterPort()) !== old)
      // By itself it would come back as a master, until Sentinel tells it otherwise.
      await dying.start()
      await until(async () => synced(await masterPort()))
    },
    async stop() {
      await sentinel.stop()
      await Promise.all(servers.map(server => server.stop()))
    },
  }
}

/**
 * Rounds of traffic over three brokers on one Redis, in the midst of each of which something goes wrong. The clients of a broker that is
 * killed, frozen or cut off connect to another one at once.
 */
export async function clusterRounds(
  program: string,
  { rounds, random, what, awayMs = 10_000 }: ClusterOptions,
): Promise<FaultOutcome & { readonly history: History }> {
  const folder = mkdtempSync(join(tmpdir(), 'mqttx-cluster-fault-'))
  const engine = await (what === 'failover' ? watchedOver() : plain(what === 'cut', what === 'clocks'))
  const start = (node: number): Promise<FaultBroker> => {
    const options = [`brokerId=n${node}`, ...engine.options(node), ...clusterSettings]
    const env = what === 'clocks' ? wrongClock(random) : {}
    return FaultBroker.start(program, folder, ['--preset', 'dev', ...options.flatMap(option => ['--set', option])], env)
  }
  const history = new History()
  const publishers = [0, 1, 2, 3].map(i => new FaultPublisher(`publisher-${i}`, history, i % 2 === 0 ? 5 : 4, window))
  const readers = [new FaultReader('reader-5', history, 5, 30), new FaultReader('reader-4', history, 4, 30)]
  const clients: FaultClient[] = [...readers, ...publishers]
  if (what === 'clocks') for (const one of publishers) one.messageExpiry = lifeSeconds
  const nodes: FaultBroker[] = []
  const away = () => new Promise(resolve => setTimeout(resolve, awayMs))
  try {
    for (let i = 0; i < nodeCount; i++) nodes.push(await start(i))
    /** Which node each client is connected to. */
    const at = new Map(clients.map((client, i) => [client, i % nodeCount]))
    await connectAll(readers, publishers, client => nodes[at.get(client)!]!.port)
    // A broker may send away whom it can promise nothing.
    const staying = what === 'connections' || what === 'failover'
    if (staying) for (const [client, node] of at) client.returnsTo = nodes[node]!.port
    for (let round = 0; round < rounds; round++) {
      for (const one of publishers) one.allow(perRound)
      await history.acknowledgedMore(random() * perRound * 4)
      if (what === 'connections') {
        for (const type of ['normal', 'pubsub']) await engine.redis.call('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes')
        continue
      }
      if (what === 'failover') {
        await engine.failOver()
        continue
      }
      const victim = Math.floor(random() * nodeCount)
      const homeless = clients.filter(client => at.get(client) === victim)
      if (what === 'clocks') {
        nodes[Math.floor(random() * nodeCount)]!.setClock()
        engine.redis.setClock(Math.round((random() - 0.5) * 4 * 3600))
      }
      if (what === 'kill' || what === 'clocks') {
        await nodes[victim]!.kill()
        await Promise.all(homeless.map(one => one.gone))
      } else {
        if (what === 'freeze') nodes[victim]!.freeze()
        else engine.proxies[victim]!.cut(random() < 0.5 ? 'refused' : 'silent')
        // What it still has of theirs may get through as long as they are there.
        if (what === 'cut') await new Promise(resolve => setTimeout(resolve, random() * 200))
        await Promise.all(homeless.map(one => one.close()))
      }
      for (const one of homeless) {
        at.set(one, (victim + 1 + Math.floor(random() * (nodeCount - 1))) % nodeCount)
        // One that was away in the round before may have to be asked again.
        if (what !== 'kill' && what !== 'clocks') one.returnsTo = nodes[at.get(one)!]!.port
      }
      await Promise.all(homeless.map(one => one.connect(nodes[at.get(one)!]!.port)))
      if (what === 'kill' || what === 'clocks') {
        nodes[victim] = await start(victim)
      } else {
        await away()
        if (what === 'freeze') nodes[victim]!.thaw()
        else engine.proxies[victim]!.heal()
      }
    }
    const outcome = await finished(history, publishers, readers, nodes)
    return { ...outcome, wrong: [...outcome.wrong, ...(await disagreements(nodes, clients.length))], history }
  } finally {
    await Promise.all(clients.map(one => one.close()))
    await Promise.all(nodes.map(node => node.kill()))
    await engine.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}
