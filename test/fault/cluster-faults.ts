import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RedisServer } from '../support/redis.ts'
import { FaultBroker } from './fault-broker.ts'
import { type FaultClient, FaultPublisher, FaultReader } from './fault-client.ts'
import { type FaultOutcome, finished } from './faults.ts'
import { History } from './history.ts'

const nodeCount = 3
const window = 50
const perRound = 300

/** What goes wrong: a broker is killed and started again; one is frozen for a while; all connections to Redis are cut. */
export type ClusterFault = 'kill' | 'freeze' | 'connections'

/**
 * Rounds of traffic over three brokers on one Redis, in the midst of each of which something goes wrong. The clients of a broker that is
 * killed or frozen connect to another one at once.
 */
export async function clusterRounds(
  program: string,
  { rounds, random, what, frozenMs = 10_000 }: { rounds: number; random: () => number; what: ClusterFault; frozenMs?: number },
): Promise<FaultOutcome> {
  const folder = mkdtempSync(join(tmpdir(), 'mqttx-cluster-fault-'))
  const redis = await RedisServer.start()
  const start = (node: number): Promise<FaultBroker> => {
    const options = [`brokerId=n${node}`, `redis.url=${redis.url}`, 'cluster.enable=true', 'cluster.heartbeat=200', 'cluster.expiry=1000']
    return FaultBroker.start(program, folder, ['--preset', 'dev', ...options.flatMap(option => ['--set', option])])
  }
  const history = new History()
  const publishers = [0, 1, 2, 3].map(i => new FaultPublisher(`publisher-${i}`, history, i % 2 === 0 ? 5 : 4, window))
  const readers = [new FaultReader('reader-5', history, 5, 30), new FaultReader('reader-4', history, 4, 30)]
  const clients: FaultClient[] = [...readers, ...publishers]
  const nodes: FaultBroker[] = []
  try {
    for (let i = 0; i < nodeCount; i++) nodes.push(await start(i))
    /** Which node each client is connected to. */
    const at = new Map(clients.map((client, i) => [client, i % nodeCount]))
    for (const reader of readers) {
      await reader.connect(nodes[at.get(reader)!]!.port)
      await reader.subscribe()
    }
    await Promise.all(publishers.map(one => one.connect(nodes[at.get(one)!]!.port)))
    // A broker may send away whom it can promise nothing.
    if (what === 'connections') for (const [client, node] of at) client.returnsTo = nodes[node]!.port
    for (let round = 0; round < rounds; round++) {
      for (const one of publishers) one.allow(perRound)
      const due = history.count('acknowledged') + Math.ceil(random() * perRound * 4)
      await history.until(() => history.count('acknowledged') >= due)
      if (what === 'connections') {
        for (const type of ['normal', 'pubsub']) await redis.call('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes')
        continue
      }
      const victim = Math.floor(random() * nodeCount)
      const homeless = clients.filter(client => at.get(client) === victim)
      if (what === 'kill') {
        await nodes[victim]!.kill()
        await Promise.all(homeless.map(one => one.gone))
      } else {
        nodes[victim]!.freeze()
        await Promise.all(homeless.map(one => one.close()))
      }
      for (const one of homeless) at.set(one, (victim + 1 + Math.floor(random() * (nodeCount - 1))) % nodeCount)
      await Promise.all(homeless.map(one => one.connect(nodes[at.get(one)!]!.port)))
      if (what === 'kill') {
        nodes[victim] = await start(victim)
      } else {
        await new Promise(resolve => setTimeout(resolve, frozenMs))
        nodes[victim]!.thaw()
      }
    }
    return await finished(history, publishers, readers, nodes)
  } finally {
    await Promise.all(clients.map(one => one.close()))
    await Promise.all(nodes.map(node => node.kill()))
    await redis.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}
